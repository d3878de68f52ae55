import EventLoop
public import Report
public import Run

/// What became of one thing that a run created and undo looks for.
public enum TakenBack: Sendable {
    /// It is away now; the text says how.
    case gone(String)
    /// It is not there any more, or never came to be.
    case absent
    /// It is not as the run left it.
    case left(Problem)
}

/// Takes `things` back, on all places at once, the newest first on each.
///
/// What cannot be reached is named, the rest is done.
public func takeBack(_ things: [Created], _ work: @escaping @Sendable (Created) async throws -> TakenBack) async -> UndoOutcome {
    let places = Dictionary(grouping: things.reversed(), by: \.place)
    var undone: [String] = [], left: [Problem] = []
    for (place, result) in await attemptOnEach(
        places.keys.sorted(),
        { place in
            var outcomes: [TakenBack] = []
            for thing in places[place] ?? [] {
                do {
                    outcomes.append(try await work(thing))
                } catch {
                    outcomes.append(.left(Problem("\(thing) may still be there", because: error, hint: "undo again when \(place) is well; what is undone already stays so")))
                }
            }
            return outcomes
        })
    {
        switch result {
        case .success(let outcomes):
            for outcome in outcomes {
                switch outcome {
                case .gone(let text): undone.append(text)
                case .absent: break
                case .left(let problem): left.append(problem)
                }
            }
        case .failure(let error): left.append(Problem(place, because: error))
        }
    }
    return left.isEmpty ? .undone(undone) : .left(left, undone: undone)
}
