/// How far a backup or a restore is.
public struct CopyProgress: Sendable, Hashable {
    /// Bytes of the data directory that are through, before compression.
    public let bytesDone: UInt64
    /// Bytes in all; an estimate until enough has been seen, if it was not known beforehand.
    public let bytesTotal: UInt64
    /// 0 to 100, as pgBackRest says it.
    public let percent: Double
    /// The time still needed at the rate of the last minute; `nil` as long as there is no rate.
    public let remaining: Duration?
}

/// Reads the progress of a backup or a restore from the lines it prints.
///
/// pgBackRest 2.45 prints a line for every *finished* file: with 1 GB segments progress comes in steps of 1 GB.
public struct ProgressMeter: Sendable {
    private struct Sample {
        let time: ContinuousClock.Instant
        let bytes: UInt64
    }

    private var bytesExpected: UInt64?
    private let window: Duration
    private var bytesSeen: UInt64 = 0
    private var percent = 0.0
    private var samples: [Sample] = []

    /// - Parameters:
    ///   - bytesTotal: the size of the whole, if known: from `info` for a restore, from the server for a backup.
    ///   - window: the stretch of time the rate is measured over.
    public init(bytesTotal: UInt64? = nil, window: Duration = .seconds(60)) {
        bytesExpected = bytesTotal
        self.window = window
    }

    /// Takes in one line; `nil` when it says nothing about progress.
    public mutating func read(_ line: String, at time: ContinuousClock.Instant) -> CopyProgress? {
        guard let step = FileStep(line) else { return nil }
        bytesSeen += step.bytes
        percent = max(percent, step.percent)
        sample(at: time)
        return progress(at: time)
    }

    /// Takes in how far a copy is that says it itself.
    public mutating func reached(_ bytes: UInt64, of total: UInt64, at time: ContinuousClock.Instant) -> CopyProgress {
        (bytesExpected, bytesSeen) = (total, bytes)
        percent = total == 0 ? 0 : min(100, Double(bytes) / Double(total) * 100)
        sample(at: time)
        return progress(at: time) ?? CopyProgress(bytesDone: bytes, bytesTotal: total, percent: percent, remaining: nil)
    }

    private mutating func sample(at time: ContinuousClock.Instant) {
        if samples.isEmpty { samples.append(Sample(time: time, bytes: 0)) }
        samples.append(Sample(time: time, bytes: bytesDone))
        // The sample before the window stays: the rate of the whole window needs its beginning.
        while samples.count > 2, samples[1].time.duration(to: time) >= window { samples.removeFirst() }
    }

    /// The progress as of `time`; `nil` before the first file is through. Call it between lines too: the estimate ages.
    public func progress(at time: ContinuousClock.Instant) -> CopyProgress? {
        guard let first = samples.first else { return nil }
        let elapsed = first.time.duration(to: time), done = bytesDone - min(first.bytes, bytesDone)
        let left = bytesTotal - bytesDone
        let remaining: Duration? =
            if left == 0 { .zero } else if done == 0 || elapsed < .milliseconds(500) { nil } else {
                elapsed * (Double(left) / Double(done))
            }
        return CopyProgress(bytesDone: bytesDone, bytesTotal: bytesTotal, percent: percent, remaining: remaining)
    }

    private var bytesTotal: UInt64 {
        if let bytesExpected { return bytesExpected }
        guard percent > 0 else { return bytesSeen }
        return max(bytesSeen, UInt64(Double(bytesSeen) / percent * 100))
    }

    private var bytesDone: UInt64 {
        guard let bytesExpected else { return bytesSeen }
        return min(bytesExpected, UInt64(Double(bytesExpected) * percent / 100))
    }
}

/// What a line says about one file: `… (bundle 2/264066, 112KB, 11.73%) checksum …`.
struct FileStep: Hashable {
    let bytes: UInt64
    let percent: Double

    init?(_ line: String) {
        let (level, message) = BackRestLog.split(line[...])
        guard level == "DETAIL", let end = message.lastRange(of: "%)"), let start = message[..<end.lowerBound].lastRange(of: " (")
        else { return nil }
        let parts = message[start.upperBound..<end.lowerBound].split(separator: ", ")
        guard parts.count >= 2, let percent = Double(parts[parts.count - 1]), let bytes = FileStep.bytes(parts[parts.count - 2])
        else { return nil }
        self.bytes = bytes
        self.percent = percent
    }

    /// Reads pgBackRest's sizes: `0B`, `512B`, `1.6KB`, `160.9MB`, in powers of 1024.
    static func bytes(_ text: Substring) -> UInt64? {
        let digits = text.prefix { $0.isNumber || $0 == "." }
        let units: [Substring: Double] = ["B": 1, "KB": 0x1p10, "MB": 0x1p20, "GB": 0x1p30, "TB": 0x1p40, "PB": 0x1p50]
        guard let number = Double(digits), let unit = units[text[digits.endIndex...]] else { return nil }
        return UInt64(number * unit)
    }
}

extension Substring {
    fileprivate func lastRange(of marker: String) -> Range<Index>? {
        var start = endIndex
        while start > startIndex {
            start = index(before: start)
            if self[start...].hasPrefix(marker), let end = index(start, offsetBy: marker.count, limitedBy: endIndex) { return start..<end }
        }
        return nil
    }
}
