/// Finds the word that was meant.
public enum Spelling {
    /// The candidate that `word` is most probably a misspelling of.
    public static func nearest(to word: String, among candidates: [String]) -> String? {
        let typed = plain(word)
        // Nobody types a key this long, and the distance takes quadratic time.
        guard !typed.isEmpty, typed.count <= 64 else { return nil }
        let near = candidates.map { (candidate: $0, distance: distance(typed, plain($0))) }
            .filter { $0.distance <= max(1, typed.count / 3) && $0.distance < $0.candidate.count }
            .min { $0.distance < $1.distance }
        return near?.candidate ?? candidates.first { typed.count >= 3 && plain($0).starts(with: typed) }
    }

    private static func plain(_ word: String) -> [Character] { word.lowercased().map { $0 == "-" || $0 == " " ? "_" : $0 } }

    /// Optimal string alignment: insertions, deletions, substitutions, and swaps of two neighbours.
    private static func distance(_ one: [Character], _ other: [Character]) -> Int {
        var rows = [Array(0...other.count)]
        for (i, left) in one.enumerated() {
            var row = [i + 1]
            for (j, right) in other.enumerated() {
                var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (left == right ? 0 : 1))
                if i > 0, j > 0, left == other[j - 1], one[i - 1] == right { best = min(best, rows[i - 1][j - 1] + 1) }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[one.count][other.count]
    }
}
