from dsm.wire.generated import session_pb2 as _session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lifetime(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIFETIME_UNSPECIFIED: _ClassVar[Lifetime]
    LIFETIME_UNLINK: _ClassVar[Lifetime]
    LIFETIME_LAST_DETACH: _ClassVar[Lifetime]
    LIFETIME_CREATOR: _ClassVar[Lifetime]
LIFETIME_UNSPECIFIED: Lifetime
LIFETIME_UNLINK: Lifetime
LIFETIME_LAST_DETACH: Lifetime
LIFETIME_CREATOR: Lifetime

class Caller(_message.Message):
    __slots__ = ("node", "epoch")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    node: int
    epoch: int
    def __init__(self, node: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class Shape(_message.Message):
    __slots__ = ("dimensions",)
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    dimensions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, dimensions: _Optional[_Iterable[int]] = ...) -> None: ...

class RegionInfo(_message.Message):
    __slots__ = ("id", "name", "size", "page_size", "lifetime", "hold_seconds", "shape", "dtype", "creator", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    HOLD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    size: int
    page_size: int
    lifetime: Lifetime
    hold_seconds: float
    shape: Shape
    dtype: str
    creator: str
    created_at: float
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., size: _Optional[int] = ..., page_size: _Optional[int] = ..., lifetime: _Optional[_Union[Lifetime, str]] = ..., hold_seconds: _Optional[float] = ..., shape: _Optional[_Union[Shape, _Mapping]] = ..., dtype: _Optional[str] = ..., creator: _Optional[str] = ..., created_at: _Optional[float] = ...) -> None: ...

class CreateRegionRequest(_message.Message):
    __slots__ = ("caller", "name", "size", "page_size", "lifetime", "hold_seconds", "shape", "dtype", "exist_ok", "attach")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    HOLD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    EXIST_OK_FIELD_NUMBER: _ClassVar[int]
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    name: str
    size: int
    page_size: int
    lifetime: Lifetime
    hold_seconds: float
    shape: Shape
    dtype: str
    exist_ok: bool
    attach: bool
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., name: _Optional[str] = ..., size: _Optional[int] = ..., page_size: _Optional[int] = ..., lifetime: _Optional[_Union[Lifetime, str]] = ..., hold_seconds: _Optional[float] = ..., shape: _Optional[_Union[Shape, _Mapping]] = ..., dtype: _Optional[str] = ..., exist_ok: bool = ..., attach: bool = ...) -> None: ...

class CreateRegionReply(_message.Message):
    __slots__ = ("info", "created")
    INFO_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    info: RegionInfo
    created: bool
    def __init__(self, info: _Optional[_Union[RegionInfo, _Mapping]] = ..., created: bool = ...) -> None: ...

class OpenRegionRequest(_message.Message):
    __slots__ = ("caller", "name")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    name: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class OpenRegionReply(_message.Message):
    __slots__ = ("info",)
    INFO_FIELD_NUMBER: _ClassVar[int]
    info: RegionInfo
    def __init__(self, info: _Optional[_Union[RegionInfo, _Mapping]] = ...) -> None: ...

class CloseRegionRequest(_message.Message):
    __slots__ = ("caller", "region")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    region: int
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., region: _Optional[int] = ...) -> None: ...

class CloseRegionReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UnlinkRegionRequest(_message.Message):
    __slots__ = ("caller", "name", "region")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    name: str
    region: int
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., name: _Optional[str] = ..., region: _Optional[int] = ...) -> None: ...

class UnlinkRegionReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRegionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRegionsReply(_message.Message):
    __slots__ = ("regions",)
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[RegionInfo]
    def __init__(self, regions: _Optional[_Iterable[_Union[RegionInfo, _Mapping]]] = ...) -> None: ...

class DescribeRegionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeRegionReply(_message.Message):
    __slots__ = ("info", "attached", "pages")
    INFO_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    info: RegionInfo
    attached: _containers.RepeatedScalarFieldContainer[str]
    pages: PageCounts
    def __init__(self, info: _Optional[_Union[RegionInfo, _Mapping]] = ..., attached: _Optional[_Iterable[str]] = ..., pages: _Optional[_Union[PageCounts, _Mapping]] = ...) -> None: ...

class PageCounts(_message.Message):
    __slots__ = ("all", "touched", "owned", "shared", "lost", "busy")
    ALL_FIELD_NUMBER: _ClassVar[int]
    TOUCHED_FIELD_NUMBER: _ClassVar[int]
    OWNED_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    all: int
    touched: int
    owned: int
    shared: int
    lost: int
    busy: int
    def __init__(self, all: _Optional[int] = ..., touched: _Optional[int] = ..., owned: _Optional[int] = ..., shared: _Optional[int] = ..., lost: _Optional[int] = ..., busy: _Optional[int] = ...) -> None: ...

class PageMapRequest(_message.Message):
    __slots__ = ("region", "first", "count")
    REGION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    region: int
    first: int
    count: int
    def __init__(self, region: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class PageMapReply(_message.Message):
    __slots__ = ("runs", "next")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[PageMapRun]
    next: int
    def __init__(self, runs: _Optional[_Iterable[_Union[PageMapRun, _Mapping]]] = ..., next: _Optional[int] = ...) -> None: ...

class PageMapRun(_message.Message):
    __slots__ = ("first", "count", "owner", "sharers", "version", "lost", "busy")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SHARERS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    owner: int
    sharers: _containers.RepeatedScalarFieldContainer[int]
    version: int
    lost: bool
    busy: bool
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ..., owner: _Optional[int] = ..., sharers: _Optional[_Iterable[int]] = ..., version: _Optional[int] = ..., lost: bool = ..., busy: bool = ...) -> None: ...

class ClusterStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ClusterStatusReply(_message.Message):
    __slots__ = ("cluster", "version", "uptime_seconds", "members", "regions", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    version: str
    uptime_seconds: float
    members: _containers.RepeatedCompositeFieldContainer[_session_pb2.Member]
    regions: int
    counters: _containers.ScalarMap[str, int]
    def __init__(self, cluster: _Optional[str] = ..., version: _Optional[str] = ..., uptime_seconds: _Optional[float] = ..., members: _Optional[_Iterable[_Union[_session_pb2.Member, _Mapping]]] = ..., regions: _Optional[int] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...
