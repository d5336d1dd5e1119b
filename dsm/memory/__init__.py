"""Memory of one host: memfds, mappings of them, and page faults. The only package that talks to the kernel about pages.

    node daemon                                    client process
    Segment  one memfd; the bytes  ──fd──────────▶ Mapping  the memfd at an address; exports the buffer
    FaultSource  answers faults    ◀──fd, address── Uffd     registers the mapping, then only keeps a copy open

Who may do what: the daemon puts bytes in and takes them out (`Segment`), and decides what each client's page tables
allow (`FaultSource`). The client maps, registers, hands its userfaultfd over, and never touches a page table again.
A fault is always answered by another process than the one that took it: a handler thread in the same process would
need the GIL that the faulting thread holds.

A page of a client is in one of four conditions, told apart by the daemon's page record and never by asking the kernel:

    in the memfd  mapped here  write-protected   a load      a store
    no            no           -                 missing     missing
    yes           no           -                 minor       minor
    yes           yes          yes               goes on     write-protected
    yes           yes          no                goes on     goes on

Caveats:
* A hole punch removes the page from every mapping of the host. Of its write-protection at most a marker is left in the
  page table, which stops no store: the fault says missing or minor, and the page mapped next is as writable as asked.
* Write-protection belongs to one mapping. `pwrite`, another mapping or a debugger go round it.
* When the last copy of a userfaultfd closes, faults are no longer reported: readers get zeros. So `Uffd` and
  `FaultSource` close their descriptor only when told to, never from a finalizer.
* Neither fork, remap, remove nor unmap events are enabled. A client that unmaps or exits is noticed by `Detached`, or
  by its socket closing.
* With shared-memory huge pages forced on (`/sys/kernel/mm/transparent_hugepage/shmem_enabled` at `always` or `force`)
  the kernel may make neighbours of a written page present. They then fault as minor instead of missing.

Sources: userfaultfd(2), ioctl_userfaultfd(2), memfd_create(2), fallocate(2), madvise(2).
"""
