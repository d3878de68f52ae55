import Report

extension Playbook.AddSpockNode {
    /// How the new node stops being a standby of the source and becomes a member of the mesh.
    public struct Handover: Sendable {
        @Located public var mode: Mode
        /// When clients are let in on the new node.
        @Located public var open: Opening
        /// Without a pause in writing: how long the new node's slots may wait for transactions that are open.
        @Located public var slotWait: Duration
        /// Percent of the free space of a disk that WAL may take which is kept for the new node.
        @Located public var walFuse: Int
        /// In which nobody writes.
        public let window: Playbook.Window

        public enum Mode: String, Sendable, Hashable {
            /// All nodes refuse writes for the length of the window.
            case readOnly = "read-only"
            /// Everybody goes on writing.
            case live
        }

        public enum Opening: String, Sendable, Hashable {
            /// Once it is shown that nothing was lost.
            case afterProof = "after-proof"
            /// As soon as it is a member.
            case afterJoin = "after-join"
        }

        init?(_ section: Section) {
            let mode = section.required("mode", .choice([("read-only", Mode.readOnly), ("live", .live)]), example: "read-only")
            let open = section.optional("open", .choice([("after-proof", Opening.afterProof), ("after-join", .afterJoin)]), default: Opening.afterProof)
            let slotWait = section.optional("slot_wait", .duration(.seconds(1) ... .seconds(86400)), default: .seconds(60))
            let fuse = section.optional("wal_fuse", .number(1...90), default: 20)
            let window = Playbook.Window(section)
            // What would do nothing is no setting.
            let idle = mode?.wrappedValue == .live ? ["window_limit", "lease"].compactMap { section.given($0) } : []
            for place in idle { section.report("only for the mode read-only: in the mode live nothing is closed", hint: "leave it out", at: place) }
            guard idle.isEmpty, let window, let mode, let open, let slotWait, let fuse else { return nil }
            (_mode, _open, _slotWait, _walFuse, self.window) = (mode, open, slotWait, fuse, window)
        }
    }
}
