"""The shape of the JSON that callers get, as types: what ``Analysis.as_dict`` and the API return.

Annotations are evaluated here: as strings, they would hide from the types which fields may be
missing.
"""

from typing import Any, NotRequired, TypedDict


class FaceJson(TypedDict):
    """``box_xyxy``: left, top, right, bottom in pixels of the image as sent (EXIF orientation
    applied, not turned further);
    ``score``: 0 to 1; ``landmarks``: five (x, y) in the same pixels or null; ``turned``: degrees
    counter-clockwise that image has to be turned for the face to stand upright.
    """

    box_xyxy: list[float]
    score: float
    landmarks: list[list[float]] | None
    source: str
    turned: int


class AgeJson(TypedDict):
    """``years``: point estimate; ``interval``: in years; ``coverage``: share of such intervals that
    contain the true age; ``group``: a benchmark's age range; ``probs``: of the ages 0 to 100;
    ``group_probs``: of age ranges, where a network knows only those.
    """

    years: float
    interval: list[float] | None
    coverage: float | None
    group: str | None
    probs: list[float] | None
    group_probs: NotRequired[dict[str, float]]


class ChoiceJson(TypedDict):
    """The likeliest label, and the probability of each, or null."""

    label: str
    probs: dict[str, float] | None


class PredictionJson(TypedDict):
    """One face. ``race`` is there only where the operator turned it on."""

    face: FaceJson
    age: AgeJson
    gender: ChoiceJson | None
    weights: str
    race: NotRequired[ChoiceJson]


class TimingJson(TypedDict):
    """Wall-clock milliseconds."""

    detect_ms: float
    align_ms: float
    network_ms: float
    total_ms: float


class AnalysisJson(TypedDict):
    """One image: its size in pixels after its EXIF orientation, its faces from the largest to the
    smallest, and how many more were left out. ``turned``: degrees counter-clockwise (0, 90, 180 or
    270) to turn it for its faces to stand upright.
    """

    file: str
    width: int
    height: int
    turned: int
    left_out: int
    weights: str
    timing: TimingJson
    faces: list[PredictionJson]


class ErrorJson(TypedDict):
    """Why an image has no answer: a stable word and a sentence."""

    reason: str
    message: str


class FailureJson(TypedDict):
    """An image of a batch that has no answer."""

    file: str
    error: ErrorJson


class BlockJson(TypedDict):
    """One attention block: ``shape`` (channels, rows, columns) of its mask; ``gate`` 0 to 1 or
    null; ``mean`` and ``maximum`` over the channels, each rows of columns in 0 to 1; ``effect``:
    what the mask changes, at least 0, as a share of what passes on average.
    """

    name: str
    shape: list[int]
    gate: float | None
    gate_words: str
    mean: list[list[float]]
    maximum: list[list[float]]
    effect: list[list[float]]


class AttentionJson(TypedDict):
    """A network's masks for one face. ``crop``: pixels of the aligned crop's side, which the
    masks lie over.
    """

    file: str
    weights: str
    face: FaceJson | None
    age: AgeJson
    gender: ChoiceJson | None
    crop: int
    blocks: list[BlockJson]


def json_schema(kind: Any) -> dict[str, Any]:
    """JSON schema of one of these types, of a list or of a union of them.

    Written out in one piece: Gradio's client shows no descriptions of types behind a ``$ref``, as
    pydantic's schema has them.
    """
    import types
    from typing import Union, get_args, get_origin, get_type_hints, is_typeddict

    plain = {str: "string", int: "integer", float: "number", type(None): "null"}
    if kind in plain:
        return {"type": plain[kind]}
    if get_origin(kind) is list:
        return {"type": "array", "items": json_schema(get_args(kind)[0])}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": json_schema(get_args(kind)[1])}
    if get_origin(kind) in (Union, types.UnionType):
        return {"anyOf": [json_schema(one) for one in get_args(kind)]}
    if not is_typeddict(kind):
        raise TypeError(f"no schema for {kind!r}")
    fields = {name: json_schema(hint) for name, hint in get_type_hints(kind).items()}
    words = " ".join((kind.__doc__ or "").split())
    return {
        "type": "object",
        "description": words,
        "properties": fields,
        "required": sorted(kind.__required_keys__),
    }
