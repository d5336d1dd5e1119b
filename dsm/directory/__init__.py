"""The directory service: names, members, and for every page its home record. It never sees the bytes of a page.

Read `state`, where the parts meet: `store` (what survives), `regions` (names and lifetimes), `pages` (home records),
`sessions` (one for each node). `service` and `server` put it on gRPC. Everything between two messages happens without
an await, so no lock is needed anywhere.
"""
