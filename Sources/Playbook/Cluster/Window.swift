extension Playbook {
    /// For how long nodes may be closed to writers, and what may be waited for then.
    public struct Window: Sendable {
        /// The window opens only when the standby is closer than this.
        @Located public var catchUpLag: ByteCount
        /// How long client transactions may go on in it before they are ended.
        @Located public var transactionGrace: Duration
        /// It is given up, and the nodes are opened again, when it would last longer.
        @Located public var limit: Duration
        /// A node that pggraft has closed opens by itself when it has not heard from pggraft for this time.
        @Located public var lease: Duration

        init?(_ section: Section) {
            let catchUpLag = section.optional("catch_up_lag", .byteCount, default: ByteCount(bytes: 16 << 20))
            let grace = section.optional("transaction_grace", .duration(.zero ... .seconds(3600)), default: .milliseconds(500))
            let limit = section.optional("window_limit", .duration(.seconds(1) ... .seconds(3600)), default: .seconds(30))
            let lease = section.optional("lease", .duration(.seconds(6) ... .seconds(600)), default: .seconds(30))
            if let grace, let limit, limit.wrappedValue <= grace.wrappedValue {
                section.report(
                    "the window is over before the transactions' grace is", hint: "make window_limit longer than transaction_grace",
                    at: section.given("window_limit") == nil ? grace.place : limit.place)
                return nil
            }
            guard let catchUpLag, let grace, let limit, let lease else { return nil }
            (_catchUpLag, _transactionGrace, _limit, _lease) = (catchUpLag, grace, limit, lease)
        }
    }
}
