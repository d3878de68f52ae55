import Bed

/// The bed's own, where a file knows pggraft's `Host` too.
typealias BedHost = Host
