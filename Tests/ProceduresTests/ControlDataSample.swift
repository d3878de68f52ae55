import Testing

@testable import Instance

/// What `pg_controldata` says of a stopped server.
func controlData(_ state: String, timeline: UInt32 = 1, checkpoint: String = "0/3000028", minimum: String = "0/0", checksums: Int = 0, hints: String = "on") throws
    -> ControlData
{
    try #require(
        ControlData(
            """
            Catalog version number:               202209061
            Database system identifier:           7
            Database cluster state:               \(state)
            Latest checkpoint location:           \(checkpoint)
            Latest checkpoint's REDO location:    \(checkpoint)
            Latest checkpoint's TimeLineID:       \(timeline)
            Minimum recovery ending location:     \(minimum)
            wal_log_hints setting:                \(hints)
            Data page checksum version:           \(checksums)
            """))
}
