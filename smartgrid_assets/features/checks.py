"""Checks of what models learn from: the contract blocks, the suite warns."""

from smartgrid_assets.quality import make_quality_check, make_schema_check
from smartgrid_core.contracts.features import LoadFeatures

CHECKS = [make_schema_check(LoadFeatures), make_quality_check(LoadFeatures)]
