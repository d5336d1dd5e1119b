"""Core messages to bytes and back: msgpack for the local socket, protobuf for everything between hosts.

The only importer of generated code. `local` stands alone and needs neither grpc nor protobuf.
"""
