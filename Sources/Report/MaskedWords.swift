extension Redaction {
    /// A server's message without the row of X that Spock 5 writes over everything that stands behind the first "password" of an error,
    /// whatever it is: `fe_sendauth: no passwordXXXXXXXXXX`. What libpq and the server say there is known, but for the role's name.
    public static func unmasked(_ text: String) -> String {
        guard let mask = text.firstMatch(of: #/[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd](X{4,})\s*$/#) else { return text }
        let before = text[..<mask.range.lowerBound], word = text[mask.range.lowerBound..<mask.1.startIndex]
        let rest =
            if before.hasSuffix("fe_sendauth: no ") { " supplied" } else if before.hasSuffix("FATAL:  ") { " authentication failed" } else { " … (Spock hides the rest)" }
        return before + word + rest
    }
}
