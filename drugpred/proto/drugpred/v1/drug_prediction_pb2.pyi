from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Drug(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRUG_UNSPECIFIED: _ClassVar[Drug]
    DRUG_ALCOHOL: _ClassVar[Drug]
    DRUG_AMPHETAMINES: _ClassVar[Drug]
    DRUG_AMYL_NITRITE: _ClassVar[Drug]
    DRUG_BENZODIAZEPINES: _ClassVar[Drug]
    DRUG_CAFFEINE: _ClassVar[Drug]
    DRUG_CANNABIS: _ClassVar[Drug]
    DRUG_CHOCOLATE: _ClassVar[Drug]
    DRUG_COCAINE: _ClassVar[Drug]
    DRUG_CRACK: _ClassVar[Drug]
    DRUG_ECSTASY: _ClassVar[Drug]
    DRUG_HEROIN: _ClassVar[Drug]
    DRUG_KETAMINE: _ClassVar[Drug]
    DRUG_LEGAL_HIGHS: _ClassVar[Drug]
    DRUG_LSD: _ClassVar[Drug]
    DRUG_METHADONE: _ClassVar[Drug]
    DRUG_MUSHROOMS: _ClassVar[Drug]
    DRUG_NICOTINE: _ClassVar[Drug]
    DRUG_VOLATILE_SUBSTANCES: _ClassVar[Drug]

class Window(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WINDOW_UNSPECIFIED: _ClassVar[Window]
    WINDOW_EVER: _ClassVar[Window]
    WINDOW_DECADE: _ClassVar[Window]
    WINDOW_YEAR: _ClassVar[Window]
    WINDOW_MONTH: _ClassVar[Window]
    WINDOW_WEEK: _ClassVar[Window]
    WINDOW_DAY: _ClassVar[Window]

class AgeBand(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGE_BAND_UNSPECIFIED: _ClassVar[AgeBand]
    AGE_BAND_18_24: _ClassVar[AgeBand]
    AGE_BAND_25_34: _ClassVar[AgeBand]
    AGE_BAND_35_44: _ClassVar[AgeBand]
    AGE_BAND_45_54: _ClassVar[AgeBand]
    AGE_BAND_55_64: _ClassVar[AgeBand]
    AGE_BAND_65_AND_OLDER: _ClassVar[AgeBand]

class Gender(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GENDER_UNSPECIFIED: _ClassVar[Gender]
    GENDER_FEMALE: _ClassVar[Gender]
    GENDER_MALE: _ClassVar[Gender]

class Education(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EDUCATION_UNSPECIFIED: _ClassVar[Education]
    EDUCATION_LEFT_SCHOOL_BEFORE_16: _ClassVar[Education]
    EDUCATION_LEFT_SCHOOL_AT_16: _ClassVar[Education]
    EDUCATION_LEFT_SCHOOL_AT_17: _ClassVar[Education]
    EDUCATION_LEFT_SCHOOL_AT_18: _ClassVar[Education]
    EDUCATION_SOME_COLLEGE: _ClassVar[Education]
    EDUCATION_PROFESSIONAL_CERTIFICATE: _ClassVar[Education]
    EDUCATION_UNIVERSITY_DEGREE: _ClassVar[Education]
    EDUCATION_MASTERS_DEGREE: _ClassVar[Education]
    EDUCATION_DOCTORATE_DEGREE: _ClassVar[Education]

class Country(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COUNTRY_UNSPECIFIED: _ClassVar[Country]
    COUNTRY_AUSTRALIA: _ClassVar[Country]
    COUNTRY_CANADA: _ClassVar[Country]
    COUNTRY_NEW_ZEALAND: _ClassVar[Country]
    COUNTRY_OTHER: _ClassVar[Country]
    COUNTRY_REPUBLIC_OF_IRELAND: _ClassVar[Country]
    COUNTRY_UK: _ClassVar[Country]
    COUNTRY_USA: _ClassVar[Country]

class Ethnicity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ETHNICITY_UNSPECIFIED: _ClassVar[Ethnicity]
    ETHNICITY_ASIAN: _ClassVar[Ethnicity]
    ETHNICITY_BLACK: _ClassVar[Ethnicity]
    ETHNICITY_MIXED_BLACK_ASIAN: _ClassVar[Ethnicity]
    ETHNICITY_MIXED_WHITE_ASIAN: _ClassVar[Ethnicity]
    ETHNICITY_MIXED_WHITE_BLACK: _ClassVar[Ethnicity]
    ETHNICITY_OTHER: _ClassVar[Ethnicity]
    ETHNICITY_WHITE: _ClassVar[Ethnicity]

class Scale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALE_UNSPECIFIED: _ClassVar[Scale]
    SCALE_STANDARDIZED: _ClassVar[Scale]
    SCALE_RAW: _ClassVar[Scale]

class Include(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INCLUDE_UNSPECIFIED: _ClassVar[Include]
    INCLUDE_WINDOWS: _ClassVar[Include]
    INCLUDE_EXPLANATION: _ClassVar[Include]
    INCLUDE_INTERVAL: _ClassVar[Include]
    INCLUDE_SUPPORT: _ClassVar[Include]

class SupportLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUPPORT_LEVEL_UNSPECIFIED: _ClassVar[SupportLevel]
    SUPPORT_LEVEL_USUAL: _ClassVar[SupportLevel]
    SUPPORT_LEVEL_THIN: _ClassVar[SupportLevel]
    SUPPORT_LEVEL_UNUSUAL: _ClassVar[SupportLevel]

class DataSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_SOURCE_UNSPECIFIED: _ClassVar[DataSource]
    DATA_SOURCE_UCI: _ClassVar[DataSource]
    DATA_SOURCE_FILE: _ClassVar[DataSource]
    DATA_SOURCE_SIMULATED: _ClassVar[DataSource]
DRUG_UNSPECIFIED: Drug
DRUG_ALCOHOL: Drug
DRUG_AMPHETAMINES: Drug
DRUG_AMYL_NITRITE: Drug
DRUG_BENZODIAZEPINES: Drug
DRUG_CAFFEINE: Drug
DRUG_CANNABIS: Drug
DRUG_CHOCOLATE: Drug
DRUG_COCAINE: Drug
DRUG_CRACK: Drug
DRUG_ECSTASY: Drug
DRUG_HEROIN: Drug
DRUG_KETAMINE: Drug
DRUG_LEGAL_HIGHS: Drug
DRUG_LSD: Drug
DRUG_METHADONE: Drug
DRUG_MUSHROOMS: Drug
DRUG_NICOTINE: Drug
DRUG_VOLATILE_SUBSTANCES: Drug
WINDOW_UNSPECIFIED: Window
WINDOW_EVER: Window
WINDOW_DECADE: Window
WINDOW_YEAR: Window
WINDOW_MONTH: Window
WINDOW_WEEK: Window
WINDOW_DAY: Window
AGE_BAND_UNSPECIFIED: AgeBand
AGE_BAND_18_24: AgeBand
AGE_BAND_25_34: AgeBand
AGE_BAND_35_44: AgeBand
AGE_BAND_45_54: AgeBand
AGE_BAND_55_64: AgeBand
AGE_BAND_65_AND_OLDER: AgeBand
GENDER_UNSPECIFIED: Gender
GENDER_FEMALE: Gender
GENDER_MALE: Gender
EDUCATION_UNSPECIFIED: Education
EDUCATION_LEFT_SCHOOL_BEFORE_16: Education
EDUCATION_LEFT_SCHOOL_AT_16: Education
EDUCATION_LEFT_SCHOOL_AT_17: Education
EDUCATION_LEFT_SCHOOL_AT_18: Education
EDUCATION_SOME_COLLEGE: Education
EDUCATION_PROFESSIONAL_CERTIFICATE: Education
EDUCATION_UNIVERSITY_DEGREE: Education
EDUCATION_MASTERS_DEGREE: Education
EDUCATION_DOCTORATE_DEGREE: Education
COUNTRY_UNSPECIFIED: Country
COUNTRY_AUSTRALIA: Country
COUNTRY_CANADA: Country
COUNTRY_NEW_ZEALAND: Country
COUNTRY_OTHER: Country
COUNTRY_REPUBLIC_OF_IRELAND: Country
COUNTRY_UK: Country
COUNTRY_USA: Country
ETHNICITY_UNSPECIFIED: Ethnicity
ETHNICITY_ASIAN: Ethnicity
ETHNICITY_BLACK: Ethnicity
ETHNICITY_MIXED_BLACK_ASIAN: Ethnicity
ETHNICITY_MIXED_WHITE_ASIAN: Ethnicity
ETHNICITY_MIXED_WHITE_BLACK: Ethnicity
ETHNICITY_OTHER: Ethnicity
ETHNICITY_WHITE: Ethnicity
SCALE_UNSPECIFIED: Scale
SCALE_STANDARDIZED: Scale
SCALE_RAW: Scale
INCLUDE_UNSPECIFIED: Include
INCLUDE_WINDOWS: Include
INCLUDE_EXPLANATION: Include
INCLUDE_INTERVAL: Include
INCLUDE_SUPPORT: Include
SUPPORT_LEVEL_UNSPECIFIED: SupportLevel
SUPPORT_LEVEL_USUAL: SupportLevel
SUPPORT_LEVEL_THIN: SupportLevel
SUPPORT_LEVEL_UNUSUAL: SupportLevel
DATA_SOURCE_UNSPECIFIED: DataSource
DATA_SOURCE_UCI: DataSource
DATA_SOURCE_FILE: DataSource
DATA_SOURCE_SIMULATED: DataSource

class Profile(_message.Message):
    __slots__ = ("scale", "years", "band", "gender", "education", "country", "ethnicity", "neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness", "impulsivity", "sensation_seeking", "drugs", "window", "include")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    YEARS_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    GENDER_FIELD_NUMBER: _ClassVar[int]
    EDUCATION_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    ETHNICITY_FIELD_NUMBER: _ClassVar[int]
    NEUROTICISM_FIELD_NUMBER: _ClassVar[int]
    EXTRAVERSION_FIELD_NUMBER: _ClassVar[int]
    OPENNESS_FIELD_NUMBER: _ClassVar[int]
    AGREEABLENESS_FIELD_NUMBER: _ClassVar[int]
    CONSCIENTIOUSNESS_FIELD_NUMBER: _ClassVar[int]
    IMPULSIVITY_FIELD_NUMBER: _ClassVar[int]
    SENSATION_SEEKING_FIELD_NUMBER: _ClassVar[int]
    DRUGS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    scale: Scale
    years: int
    band: AgeBand
    gender: Gender
    education: Education
    country: Country
    ethnicity: Ethnicity
    neuroticism: float
    extraversion: float
    openness: float
    agreeableness: float
    conscientiousness: float
    impulsivity: float
    sensation_seeking: float
    drugs: _containers.RepeatedScalarFieldContainer[Drug]
    window: Window
    include: _containers.RepeatedScalarFieldContainer[Include]
    def __init__(self, scale: _Optional[_Union[Scale, str]] = ..., years: _Optional[int] = ..., band: _Optional[_Union[AgeBand, str]] = ..., gender: _Optional[_Union[Gender, str]] = ..., education: _Optional[_Union[Education, str]] = ..., country: _Optional[_Union[Country, str]] = ..., ethnicity: _Optional[_Union[Ethnicity, str]] = ..., neuroticism: _Optional[float] = ..., extraversion: _Optional[float] = ..., openness: _Optional[float] = ..., agreeableness: _Optional[float] = ..., conscientiousness: _Optional[float] = ..., impulsivity: _Optional[float] = ..., sensation_seeking: _Optional[float] = ..., drugs: _Optional[_Iterable[_Union[Drug, str]]] = ..., window: _Optional[_Union[Window, str]] = ..., include: _Optional[_Iterable[_Union[Include, str]]] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("prediction_id", "model", "window", "data_source", "risks", "support")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    DATA_SOURCE_FIELD_NUMBER: _ClassVar[int]
    RISKS_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    model: str
    window: Window
    data_source: DataSource
    risks: _containers.RepeatedCompositeFieldContainer[Risk]
    support: Support
    def __init__(self, prediction_id: _Optional[str] = ..., model: _Optional[str] = ..., window: _Optional[_Union[Window, str]] = ..., data_source: _Optional[_Union[DataSource, str]] = ..., risks: _Optional[_Iterable[_Union[Risk, _Mapping]]] = ..., support: _Optional[_Union[Support, _Mapping]] = ...) -> None: ...

class Support(_message.Message):
    __slots__ = ("similar", "percentile", "level")
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    similar: int
    percentile: int
    level: SupportLevel
    def __init__(self, similar: _Optional[int] = ..., percentile: _Optional[int] = ..., level: _Optional[_Union[SupportLevel, str]] = ...) -> None: ...

class Risk(_message.Message):
    __slots__ = ("drug", "probability", "prediction", "threshold", "base_rate", "auc", "reliable", "windows", "explanation", "interval", "window_intervals")
    DRUG_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BASE_RATE_FIELD_NUMBER: _ClassVar[int]
    AUC_FIELD_NUMBER: _ClassVar[int]
    RELIABLE_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_INTERVALS_FIELD_NUMBER: _ClassVar[int]
    drug: Drug
    probability: float
    prediction: bool
    threshold: float
    base_rate: float
    auc: float
    reliable: bool
    windows: WindowProbabilities
    explanation: Explanation
    interval: Interval
    window_intervals: WindowIntervals
    def __init__(self, drug: _Optional[_Union[Drug, str]] = ..., probability: _Optional[float] = ..., prediction: _Optional[bool] = ..., threshold: _Optional[float] = ..., base_rate: _Optional[float] = ..., auc: _Optional[float] = ..., reliable: _Optional[bool] = ..., windows: _Optional[_Union[WindowProbabilities, _Mapping]] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., window_intervals: _Optional[_Union[WindowIntervals, _Mapping]] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class WindowIntervals(_message.Message):
    __slots__ = ("ever", "decade", "year", "month", "week", "day")
    EVER_FIELD_NUMBER: _ClassVar[int]
    DECADE_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    WEEK_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    ever: Interval
    decade: Interval
    year: Interval
    month: Interval
    week: Interval
    day: Interval
    def __init__(self, ever: _Optional[_Union[Interval, _Mapping]] = ..., decade: _Optional[_Union[Interval, _Mapping]] = ..., year: _Optional[_Union[Interval, _Mapping]] = ..., month: _Optional[_Union[Interval, _Mapping]] = ..., week: _Optional[_Union[Interval, _Mapping]] = ..., day: _Optional[_Union[Interval, _Mapping]] = ...) -> None: ...

class WindowProbabilities(_message.Message):
    __slots__ = ("ever", "decade", "year", "month", "week", "day")
    EVER_FIELD_NUMBER: _ClassVar[int]
    DECADE_FIELD_NUMBER: _ClassVar[int]
    YEAR_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    WEEK_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    ever: float
    decade: float
    year: float
    month: float
    week: float
    day: float
    def __init__(self, ever: _Optional[float] = ..., decade: _Optional[float] = ..., year: _Optional[float] = ..., month: _Optional[float] = ..., week: _Optional[float] = ..., day: _Optional[float] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("base", "contributions")
    BASE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    base: float
    contributions: Contributions
    def __init__(self, base: _Optional[float] = ..., contributions: _Optional[_Union[Contributions, _Mapping]] = ...) -> None: ...

class Contributions(_message.Message):
    __slots__ = ("age", "gender", "education", "country", "ethnicity", "neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness", "impulsivity", "sensation_seeking")
    AGE_FIELD_NUMBER: _ClassVar[int]
    GENDER_FIELD_NUMBER: _ClassVar[int]
    EDUCATION_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    ETHNICITY_FIELD_NUMBER: _ClassVar[int]
    NEUROTICISM_FIELD_NUMBER: _ClassVar[int]
    EXTRAVERSION_FIELD_NUMBER: _ClassVar[int]
    OPENNESS_FIELD_NUMBER: _ClassVar[int]
    AGREEABLENESS_FIELD_NUMBER: _ClassVar[int]
    CONSCIENTIOUSNESS_FIELD_NUMBER: _ClassVar[int]
    IMPULSIVITY_FIELD_NUMBER: _ClassVar[int]
    SENSATION_SEEKING_FIELD_NUMBER: _ClassVar[int]
    age: float
    gender: float
    education: float
    country: float
    ethnicity: float
    neuroticism: float
    extraversion: float
    openness: float
    agreeableness: float
    conscientiousness: float
    impulsivity: float
    sensation_seeking: float
    def __init__(self, age: _Optional[float] = ..., gender: _Optional[float] = ..., education: _Optional[float] = ..., country: _Optional[float] = ..., ethnicity: _Optional[float] = ..., neuroticism: _Optional[float] = ..., extraversion: _Optional[float] = ..., openness: _Optional[float] = ..., agreeableness: _Optional[float] = ..., conscientiousness: _Optional[float] = ..., impulsivity: _Optional[float] = ..., sensation_seeking: _Optional[float] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("profile",)
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    profile: Profile
    def __init__(self, profile: _Optional[_Union[Profile, _Mapping]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("prediction",)
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    prediction: Prediction
    def __init__(self, prediction: _Optional[_Union[Prediction, _Mapping]] = ...) -> None: ...

class PredictBatchRequest(_message.Message):
    __slots__ = ("profiles",)
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    profiles: _containers.RepeatedCompositeFieldContainer[Profile]
    def __init__(self, profiles: _Optional[_Iterable[_Union[Profile, _Mapping]]] = ...) -> None: ...

class PredictBatchResponse(_message.Message):
    __slots__ = ("predictions",)
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    def __init__(self, predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("chunk", "scale", "age", "gender", "education", "country", "ethnicity", "neuroticism", "extraversion", "openness", "agreeableness", "conscientiousness", "impulsivity", "sensation_seeking", "drugs", "window", "include")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    GENDER_FIELD_NUMBER: _ClassVar[int]
    EDUCATION_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    ETHNICITY_FIELD_NUMBER: _ClassVar[int]
    NEUROTICISM_FIELD_NUMBER: _ClassVar[int]
    EXTRAVERSION_FIELD_NUMBER: _ClassVar[int]
    OPENNESS_FIELD_NUMBER: _ClassVar[int]
    AGREEABLENESS_FIELD_NUMBER: _ClassVar[int]
    CONSCIENTIOUSNESS_FIELD_NUMBER: _ClassVar[int]
    IMPULSIVITY_FIELD_NUMBER: _ClassVar[int]
    SENSATION_SEEKING_FIELD_NUMBER: _ClassVar[int]
    DRUGS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    chunk: int
    scale: Scale
    age: _containers.RepeatedScalarFieldContainer[AgeBand]
    gender: _containers.RepeatedScalarFieldContainer[Gender]
    education: _containers.RepeatedScalarFieldContainer[Education]
    country: _containers.RepeatedScalarFieldContainer[Country]
    ethnicity: _containers.RepeatedScalarFieldContainer[Ethnicity]
    neuroticism: _containers.RepeatedScalarFieldContainer[float]
    extraversion: _containers.RepeatedScalarFieldContainer[float]
    openness: _containers.RepeatedScalarFieldContainer[float]
    agreeableness: _containers.RepeatedScalarFieldContainer[float]
    conscientiousness: _containers.RepeatedScalarFieldContainer[float]
    impulsivity: _containers.RepeatedScalarFieldContainer[float]
    sensation_seeking: _containers.RepeatedScalarFieldContainer[float]
    drugs: _containers.RepeatedScalarFieldContainer[Drug]
    window: Window
    include: _containers.RepeatedScalarFieldContainer[Include]
    def __init__(self, chunk: _Optional[int] = ..., scale: _Optional[_Union[Scale, str]] = ..., age: _Optional[_Iterable[_Union[AgeBand, str]]] = ..., gender: _Optional[_Iterable[_Union[Gender, str]]] = ..., education: _Optional[_Iterable[_Union[Education, str]]] = ..., country: _Optional[_Iterable[_Union[Country, str]]] = ..., ethnicity: _Optional[_Iterable[_Union[Ethnicity, str]]] = ..., neuroticism: _Optional[_Iterable[float]] = ..., extraversion: _Optional[_Iterable[float]] = ..., openness: _Optional[_Iterable[float]] = ..., agreeableness: _Optional[_Iterable[float]] = ..., conscientiousness: _Optional[_Iterable[float]] = ..., impulsivity: _Optional[_Iterable[float]] = ..., sensation_seeking: _Optional[_Iterable[float]] = ..., drugs: _Optional[_Iterable[_Union[Drug, str]]] = ..., window: _Optional[_Union[Window, str]] = ..., include: _Optional[_Iterable[_Union[Include, str]]] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("chunk", "model", "window", "data_source", "drugs", "probabilities", "low", "high", "similar", "percentile", "level")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    DATA_SOURCE_FIELD_NUMBER: _ClassVar[int]
    DRUGS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    chunk: int
    model: str
    window: Window
    data_source: DataSource
    drugs: _containers.RepeatedScalarFieldContainer[Drug]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    low: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    similar: _containers.RepeatedScalarFieldContainer[int]
    percentile: _containers.RepeatedScalarFieldContainer[int]
    level: _containers.RepeatedScalarFieldContainer[SupportLevel]
    def __init__(self, chunk: _Optional[int] = ..., model: _Optional[str] = ..., window: _Optional[_Union[Window, str]] = ..., data_source: _Optional[_Union[DataSource, str]] = ..., drugs: _Optional[_Iterable[_Union[Drug, str]]] = ..., probabilities: _Optional[_Iterable[float]] = ..., low: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., similar: _Optional[_Iterable[int]] = ..., percentile: _Optional[_Iterable[int]] = ..., level: _Optional[_Iterable[_Union[SupportLevel, str]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "data_source", "measures", "card")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATA_SOURCE_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    model: str
    data_source: DataSource
    measures: _containers.RepeatedCompositeFieldContainer[Measure]
    card: str
    def __init__(self, model: _Optional[str] = ..., data_source: _Optional[_Union[DataSource, str]] = ..., measures: _Optional[_Iterable[_Union[Measure, _Mapping]]] = ..., card: _Optional[str] = ...) -> None: ...

class Measure(_message.Message):
    __slots__ = ("drug", "window", "threshold", "base_rate", "auc", "reliable")
    DRUG_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BASE_RATE_FIELD_NUMBER: _ClassVar[int]
    AUC_FIELD_NUMBER: _ClassVar[int]
    RELIABLE_FIELD_NUMBER: _ClassVar[int]
    drug: Drug
    window: Window
    threshold: float
    base_rate: float
    auc: float
    reliable: bool
    def __init__(self, drug: _Optional[_Union[Drug, str]] = ..., window: _Optional[_Union[Window, str]] = ..., threshold: _Optional[float] = ..., base_rate: _Optional[float] = ..., auc: _Optional[float] = ..., reliable: _Optional[bool] = ...) -> None: ...
