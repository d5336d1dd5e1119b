from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
