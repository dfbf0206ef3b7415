"""plyzen's two ingest schemas, according to its JSON schemas and its instrumentation guide."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from vs_tui.sources.schema import OptionalWord, Timestamp, Word

ActivityType = Literal["build", "deployment", "test", "alarm"]
Result = Literal["success", "failure", "diverse"]

_TYPE_WORDS: Final = {"build": "build", "deploy": "deployment", "test": "test", "alarm": "alarm"}
_CONFIG: Final = ConfigDict(extra="ignore", coerce_numbers_to_str=True)


def type_in(name: str) -> str:
    """The type in an activity's name: the last of the four words in it, because that is the noun
    (`test-deploy` deploys, `post-deploy-test` tests); empty without any."""
    lowered = name.lower()
    last = max(_TYPE_WORDS, key=lowered.rfind)
    return _TYPE_WORDS[last] if last in lowered else ""


def _result(value: Any) -> Any:
    """The result in the schema's spelling: the guide's text has `fail`, the schema `failure`."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    return {"fail": "failure", "failed": "failure", "": None}.get(word, word)


class ChangeRequest(BaseModel):
    """The ticket that approved a deployment."""

    model_config = _CONFIG
    id: Word
    type: OptionalWord = ""


class Extensions(BaseModel):
    model_config = _CONFIG
    change_request: ChangeRequest | None = Field(None, alias="changeRequest")


class BasicRecord(BaseModel):
    """The flat schema."""

    model_config = _CONFIG
    correlation: OptionalWord = Field("", alias="correlationId")
    namespace: OptionalWord = ""
    artifact: Word
    version: OptionalWord = ""
    # plyzen's own script still says `stage`.
    environment: Word = Field(validation_alias=AliasChoices("environment", "stage"))
    instance: OptionalWord = ""
    activity: OptionalWord = ""
    activity_name: OptionalWord = Field("", alias="activityName")
    activity_type: ActivityType | None = Field(None, alias="activityType")
    event: Literal["start", "finish"]
    timestamp: Timestamp = None
    result: Literal["success", "failure"] | None = None
    product: OptionalWord = ""
    extensions: Extensions | None = None

    @field_validator("result", mode="before")
    @classmethod
    def _read_result(cls, value: Any) -> Any:
        return _result(value)

    @property
    def label(self) -> str:
        return self.activity_name or self.activity or self.activity_type or ""

    @property
    def type(self) -> str:
        return self.activity_type or type_in(self.activity) or type_in(self.activity_name)


class Named(BaseModel):
    model_config = _CONFIG
    name: Word


class Environment(Named):
    instance: Named | None = None


class Artifact(Named):
    namespace: OptionalWord = ""
    version: OptionalWord = ""
    result: Literal["success", "failure"] | None = None
    # Not in the schema, but in the guide's smallest example.
    environment: Environment | None = None

    @field_validator("result", mode="before")
    @classmethod
    def _read_result(cls, value: Any) -> Any:
        return _result(value)


class ActivityEvent(BaseModel):
    model_config = _CONFIG
    type: Literal["start", "finish"]
    timestamp: Timestamp = None


class Activity(BaseModel):
    """One activity of the advanced schema; a chunk of it needs only its id."""

    model_config = _CONFIG
    correlation: Word = Field(alias="correlationId")
    name: OptionalWord = ""
    type: ActivityType | None = None
    events: list[ActivityEvent] = Field(default_factory=list, max_length=100)
    result: Result | None = None
    product: Named | None = None
    artifacts: list[Artifact] = Field(default_factory=list, max_length=1000)
    environment: Environment | None = None
    extensions: Extensions | None = None

    @field_validator("result", mode="before")
    @classmethod
    def _read_result(cls, value: Any) -> Any:
        return _result(value)


class AdvancedRecord(BaseModel):
    model_config = _CONFIG
    activities: list[Activity] = Field(max_length=1000)
