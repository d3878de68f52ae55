extension Playbook.AddSpockNode {
    /// How the new node stops being a standby of the source and becomes a member of the mesh.
    public struct Handover: Sendable {
        @Located public var mode: Mode
        /// The window opens only when the standby is closer to the source than this.
        @Located public var catchUpLag: ByteCount
        /// How long client transactions may go on after read-only before they are ended.
        @Located public var transactionGrace: Duration
        /// The handover is given up, and the nodes are opened again, when the window would last longer.
        @Located public var windowLimit: Duration
        /// A node that pggraft has closed opens by itself when it has not heard from pggraft for this time.
        @Located public var lease: Duration

        public enum Mode: String, Sendable, Hashable {
            /// All nodes refuse writes for the length of the window.
            case readOnly = "read-only"
        }

        init?(_ section: Section) {
            let mode = section.required("mode", .mode, example: "read-only")
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
            guard let mode, let catchUpLag, let grace, let limit, let lease else { return nil }
            (_mode, _catchUpLag, _transactionGrace, _windowLimit, _lease) = (mode, catchUpLag, grace, limit, lease)
        }
    }
}

extension Scalar<Playbook.AddSpockNode.Handover.Mode> {
    fileprivate static let mode = Scalar("read-only") { text in
        switch text {
        case "read-only": .value(.readOnly)
        case "live":
            .refused("the mode \"live\" is not in this version", hint: "use read-only: writes pause for the length of the window")
        default: .malformed(hint: Spelling.nearest(to: text, among: ["read-only"]).map { "did you mean \"\($0)\"?" })
        }
    }
}
