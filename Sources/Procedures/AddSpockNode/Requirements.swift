import Run
extension Seed { func findings(_ memory: Memory) async -> [Finding] { [] } }
