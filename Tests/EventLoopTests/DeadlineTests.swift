import EventLoop
import Report
import Testing

@Suite struct DeadlineTests {
    @Test(arguments: [
        (Duration.milliseconds(40), "40 ms"), (.milliseconds(999), "999 ms"), (.milliseconds(3200), "3.2 s"), (.seconds(3), "3 s"),
        (.seconds(250), "4 min 10 s"), (.seconds(7500), "2 h 05 min"), (.zero, "0 ms"),
    ]) func aDurationReadsAsPeopleSayIt(duration: Duration, text: String) {
        #expect(duration.inSeconds == text)
    }
}

extension DeadlineTests {
    @Test func aDeadlineCountsDownToZero() async throws {
        let deadline = Deadline.after(.milliseconds(30))
        #expect(deadline.budget == .milliseconds(30))
        #expect(deadline.remaining <= .milliseconds(30))
        try await Task.sleep(until: deadline.instant, clock: .continuous)
        #expect(deadline.hasPassed)
        #expect(deadline.remaining == .zero)
    }

    @Test func theEarlierOfTwoDeadlinesCounts() {
        let deadline = Deadline.after(.seconds(10))
        #expect(deadline.orAfter(.seconds(60)) == deadline)
        #expect(deadline.orAfter(.seconds(1)).budget == .seconds(1))
    }
}

@Suite struct WaitTests {
    @Test func aWaitLooksUntilItFinds() async throws {
        var looks = 0
        let found = try await wait(for: "the third look", until: .after(.seconds(60)), every: .milliseconds(1)) { () -> Look<String> in
            looks += 1
            return looks == 3 ? .found("here") : .notYet("look \(looks)")
        }
        #expect(found == "here")
        #expect(looks == 3)
    }

    @Test func aWaitThatFindsNothingSaysWhatItSawLast() async throws {
        let error = try #require(
            await #expect(throws: DeadlineExceeded.self) {
                try await wait(for: "the slot", until: .after(.milliseconds(20)), every: .milliseconds(5)) { Look<Void>.notYet("no slot yet") }
            })
        #expect(error.description == "gave up after 20 ms waiting for the slot (last seen: no slot yet)")
    }

    @Test func aWaitLooksAtLeastOnceAlsoAfterItsDeadline() async throws {
        let found = try await wait(for: "anything", until: .after(.zero)) { Look.found(1) }
        #expect(found == 1)
    }

    @Test func aWaitThatIsCancelledEnds() async throws {
        let task = Task { try await wait(for: "nothing", until: .after(.seconds(60))) { Look<Void>.notYet("") } }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func whatALookThrowsEndsTheWait() async throws {
        struct Broken: Error {}
        await #expect(throws: Broken.self) {
            try await wait(for: "nothing", until: .after(.seconds(60))) { () throws -> Look<Void> in throw Broken() }
        }
    }
}
