from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CacheState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_STATE_UNSPECIFIED: _ClassVar[CacheState]
    CACHE_STATE_INVALID: _ClassVar[CacheState]
    CACHE_STATE_SHARED: _ClassVar[CacheState]
    CACHE_STATE_OWNED: _ClassVar[CacheState]
    CACHE_STATE_MODIFIED: _ClassVar[CacheState]

class ScopePin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_PIN_NONE: _ClassVar[ScopePin]
    SCOPE_PIN_READ: _ClassVar[ScopePin]
    SCOPE_PIN_WRITE: _ClassVar[ScopePin]
CACHE_STATE_UNSPECIFIED: CacheState
CACHE_STATE_INVALID: CacheState
CACHE_STATE_SHARED: CacheState
CACHE_STATE_OWNED: CacheState
CACHE_STATE_MODIFIED: CacheState
SCOPE_PIN_NONE: ScopePin
SCOPE_PIN_READ: ScopePin
SCOPE_PIN_WRITE: ScopePin

class PageFrame(_message.Message):
    __slots__ = ("region", "first", "count", "request", "version", "write", "grants", "sender", "sender_epoch", "to_epoch", "data")
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SENDER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    TO_EPOCH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    region: int
    first: int
    count: int
    request: int
    version: int
    write: bool
    grants: bool
    sender: int
    sender_epoch: int
    to_epoch: int
    data: bytes
    def __init__(self, region: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., request: _Optional[int] = ..., version: _Optional[int] = ..., write: bool = ..., grants: bool = ..., sender: _Optional[int] = ..., sender_epoch: _Optional[int] = ..., to_epoch: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PageReceipt(_message.Message):
    __slots__ = ("request", "taken")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    request: int
    taken: bool
    def __init__(self, request: _Optional[int] = ..., taken: bool = ...) -> None: ...

class HoldersRequest(_message.Message):
    __slots__ = ("region", "first", "count")
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    region: int
    first: int
    count: int
    def __init__(self, region: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class HoldersReply(_message.Message):
    __slots__ = ("holders",)
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[Holder]
    def __init__(self, holders: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("page", "pid", "comm", "write", "seconds")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    COMM_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    page: int
    pid: int
    comm: str
    write: bool
    seconds: float
    def __init__(self, page: _Optional[int] = ..., pid: _Optional[int] = ..., comm: _Optional[str] = ..., write: bool = ..., seconds: _Optional[float] = ...) -> None: ...

class RecordsRequest(_message.Message):
    __slots__ = ("region", "first", "count")
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    region: int
    first: int
    count: int
    def __init__(self, region: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class RecordsReply(_message.Message):
    __slots__ = ("runs", "next")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RecordRun]
    next: int
    def __init__(self, runs: _Optional[_Iterable[_Union[RecordRun, _Mapping]]] = ..., next: _Optional[int] = ...) -> None: ...

class RecordRun(_message.Message):
    __slots__ = ("first", "count", "state", "version", "pin", "waiting", "putting", "retained_request", "retained_version")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    PUTTING_FIELD_NUMBER: _ClassVar[int]
    RETAINED_REQUEST_FIELD_NUMBER: _ClassVar[int]
    RETAINED_VERSION_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    state: CacheState
    version: int
    pin: ScopePin
    waiting: bool
    putting: int
    retained_request: int
    retained_version: int
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ..., state: _Optional[_Union[CacheState, str]] = ..., version: _Optional[int] = ..., pin: _Optional[_Union[ScopePin, str]] = ..., waiting: bool = ..., putting: _Optional[int] = ..., retained_request: _Optional[int] = ..., retained_version: _Optional[int] = ...) -> None: ...
