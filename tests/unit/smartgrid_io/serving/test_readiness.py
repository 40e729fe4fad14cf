"""Ready means that every configured label answers with its version."""

from smartgrid_core.rollout.labels import ServingState
from smartgrid_io.serving.readiness import judge_readiness

MODEL = ServingState("m", (1, 2, 3), stable=2, canary=3)


def test_ready_is_who_has_every_label_answering():
    assert judge_readiness([MODEL], {("m", "stable"): "2", ("m", "canary"): "3"}).is_ready


def test_a_label_without_an_answer_or_with_another_version_is_told():
    judged = judge_readiness([MODEL], {("m", "stable"): "1"})
    assert not judged.is_ready
    assert judged.reasons == (
        "m: label stable means version 2, version 1 answers",
        "m: label canary means version 3, none answers",
    )


def test_a_model_without_labels_or_no_model_at_all_is_not_ready():
    answering = {("m", "stable"): "2", ("m", "canary"): "3"}
    assert judge_readiness([MODEL, ServingState("new", (1,))], answering).reasons == (
        "new: no version is labelled",
    )
    assert judge_readiness([], {}).reasons == ("no model was published yet",)
