from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOURCE_UNSPECIFIED: _ClassVar[Source]
    SOURCE_ZERO: _ClassVar[Source]
    SOURCE_HELD: _ClassVar[Source]
    SOURCE_SENT: _ClassVar[Source]
SOURCE_UNSPECIFIED: Source
SOURCE_ZERO: Source
SOURCE_HELD: Source
SOURCE_SENT: Source

class ToHome(_message.Message):
    __slots__ = ("epoch", "hello", "pages")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    hello: Hello
    pages: PageBatch
    def __init__(self, epoch: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., pages: _Optional[_Union[PageBatch, _Mapping]] = ...) -> None: ...

class FromHome(_message.Message):
    __slots__ = ("epoch", "welcome", "joined", "left", "gone", "pages")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    welcome: Welcome
    joined: MemberJoined
    left: MemberLeft
    gone: RegionGone
    pages: PageBatch
    def __init__(self, epoch: _Optional[int] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., joined: _Optional[_Union[MemberJoined, _Mapping]] = ..., left: _Optional[_Union[MemberLeft, _Mapping]] = ..., gone: _Optional[_Union[RegionGone, _Mapping]] = ..., pages: _Optional[_Union[PageBatch, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "name", "page_address", "grpc_address", "version", "held")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    name: str
    page_address: str
    grpc_address: str
    version: str
    held: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, protocol: _Optional[int] = ..., name: _Optional[str] = ..., page_address: _Optional[str] = ..., grpc_address: _Optional[str] = ..., version: _Optional[str] = ..., held: _Optional[_Iterable[int]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("node", "epoch", "cluster", "members")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    node: int
    epoch: int
    cluster: str
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, node: _Optional[int] = ..., epoch: _Optional[int] = ..., cluster: _Optional[str] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("node", "epoch", "name", "page_address", "grpc_address", "version")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    GRPC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    node: int
    epoch: int
    name: str
    page_address: str
    grpc_address: str
    version: str
    def __init__(self, node: _Optional[int] = ..., epoch: _Optional[int] = ..., name: _Optional[str] = ..., page_address: _Optional[str] = ..., grpc_address: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class MemberJoined(_message.Message):
    __slots__ = ("member",)
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    member: Member
    def __init__(self, member: _Optional[_Union[Member, _Mapping]] = ...) -> None: ...

class MemberLeft(_message.Message):
    __slots__ = ("node", "epoch")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    node: int
    epoch: int
    def __init__(self, node: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class RegionGone(_message.Message):
    __slots__ = ("region",)
    REGION_FIELD_NUMBER: _ClassVar[int]
    region: int
    def __init__(self, region: _Optional[int] = ...) -> None: ...

class PageBatch(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[PageRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[PageRun, _Mapping]]] = ...) -> None: ...

class PageRun(_message.Message):
    __slots__ = ("region", "first", "count", "get_s", "get_m", "ack", "done", "put", "fetch", "inv", "grant", "release", "adopt", "put_ack", "lost")
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    GET_S_FIELD_NUMBER: _ClassVar[int]
    GET_M_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    INV_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    ADOPT_FIELD_NUMBER: _ClassVar[int]
    PUT_ACK_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    region: int
    first: int
    count: int
    get_s: GetS
    get_m: GetM
    ack: Ack
    done: Done
    put: Put
    fetch: Fetch
    inv: Inv
    grant: Grant
    release: Release
    adopt: Adopt
    put_ack: PutAck
    lost: Lost
    def __init__(self, region: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., get_s: _Optional[_Union[GetS, _Mapping]] = ..., get_m: _Optional[_Union[GetM, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., put: _Optional[_Union[Put, _Mapping]] = ..., fetch: _Optional[_Union[Fetch, _Mapping]] = ..., inv: _Optional[_Union[Inv, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., adopt: _Optional[_Union[Adopt, _Mapping]] = ..., put_ack: _Optional[_Union[PutAck, _Mapping]] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ...) -> None: ...

class GetS(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: int
    def __init__(self, request: _Optional[int] = ...) -> None: ...

class GetM(_message.Message):
    __slots__ = ("request", "held")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    request: int
    held: int
    def __init__(self, request: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: int
    def __init__(self, request: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("request", "ok")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    request: int
    ok: bool
    def __init__(self, request: _Optional[int] = ..., ok: bool = ...) -> None: ...

class Put(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: int
    def __init__(self, request: _Optional[int] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ("request", "to")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    request: int
    to: int
    def __init__(self, request: _Optional[int] = ..., to: _Optional[int] = ...) -> None: ...

class Inv(_message.Message):
    __slots__ = ("request", "to", "grants")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    request: int
    to: int
    grants: bool
    def __init__(self, request: _Optional[int] = ..., to: _Optional[int] = ..., grants: bool = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("request", "version", "write", "source")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    request: int
    version: int
    write: bool
    source: Source
    def __init__(self, request: _Optional[int] = ..., version: _Optional[int] = ..., write: bool = ..., source: _Optional[_Union[Source, str]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: int
    def __init__(self, request: _Optional[int] = ...) -> None: ...

class Adopt(_message.Message):
    __slots__ = ("request", "version")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    request: int
    version: int
    def __init__(self, request: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class PutAck(_message.Message):
    __slots__ = ("request", "taken")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    request: int
    taken: bool
    def __init__(self, request: _Optional[int] = ..., taken: bool = ...) -> None: ...

class Lost(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: int
    def __init__(self, request: _Optional[int] = ...) -> None: ...
