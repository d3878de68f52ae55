public import Report

extension BackRestFinding {
    public var problem: Problem { Problem("\(self)") }
}
