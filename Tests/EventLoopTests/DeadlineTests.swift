import EventLoop
import Testing

@Suite struct DeadlineTests {
    @Test(arguments: [
        (Duration.milliseconds(40), "40 ms"), (.milliseconds(999), "999 ms"), (.milliseconds(3200), "3.2 s"), (.seconds(3), "3 s"),
        (.seconds(250), "4 min 10 s"), (.seconds(7500), "2 h 05 min"), (.zero, "0 ms"),
    ]) func aDurationReadsAsPeopleSayIt(duration: Duration, text: String) {
        #expect(duration.inSeconds == text)
    }
}
