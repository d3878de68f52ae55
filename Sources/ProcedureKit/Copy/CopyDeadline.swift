public import EventLoop

extension Deadline {
    /// For copying a database of any size: a week.
    public static var copy: Deadline { .after(.seconds(7 * 24 * 3600)) }
}
