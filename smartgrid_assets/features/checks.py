"""Checks of what models learn from: the contract blocks, the suite warns."""

from smartgrid_assets.quality import quality_check, schema_check
from smartgrid_core.contracts.features import LoadFeatures

CHECKS = [schema_check(LoadFeatures), quality_check(LoadFeatures)]
