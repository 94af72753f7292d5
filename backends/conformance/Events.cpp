// Copies that go on, what is told of them, and signals of this side.

#include "backends/conformance/Events.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace kiln::conformance {

namespace {

/// Two buffers of a device, and bytes that go through them.
class Traffic {
public:
  static constexpr size_t size = 4096;

  explicit Traffic(Session &session) : api(session.api()), bytes(size), found(size) {
    for (size_t i = 0; i < size; ++i)
      bytes[i] = static_cast<uint8_t>(i * 5 + i / 256);
    for (kiln_buffer *&buffer : buffers)
      check(api.allocate(session.device(), size, &buffer, &failure), "allocate");
  }
  ~Traffic() {
    for (kiln_event *event : events)
      if (event)
        (void)api.wait(event, &failure);
    for (kiln_buffer *buffer : buffers)
      if (buffer)
        api.release(buffer);
  }
  Traffic(const Traffic &) = delete;

  void check(int32_t code, const char *what) {
    if (code != KILN_SUCCESS && wrong.empty())
      wrong = std::string(what) + ": " + messageOf(failure, code);
  }
  /// There and back, nothing of it waited for.
  void begin() {
    if (!wrong.empty())
      return;
    check(api.write_async(buffers[0], 0, bytes.data(), size, &events[0], &failure), "write_async");
    if (api.copy_async)
      check(api.copy_async(buffers[0], 0, buffers[1], 0, size, &events[1], &failure), "copy_async");
    check(api.read_async(buffers[api.copy_async ? 1 : 0], 0, found.data(), size, &events[2], &failure), "read_async");
  }
  void wait() {
    for (kiln_event *&event : events)
      if (kiln_event *one = std::exchange(event, nullptr))
        check(api.wait(one, &failure), "wait");
  }
  bool right(std::string &why) {
    if (wrong.empty() && found != bytes)
      wrong = "bytes that were written, copied and read without a wait between came back changed";
    return why = wrong, wrong.empty();
  }

  const kiln_run_api &api;
  kiln_error failure = emptyError();
  kiln_buffer *buffers[2] = {};
  kiln_event *events[3] = {};
  Bytes bytes, found;
  std::string wrong;
};

/// A signal that this side gives.
struct Signal {
  std::atomic<bool> given = false;
  kiln_signal signal{sizeof(kiln_signal), 0, this,
                     [](void *self) {
                       auto &given = static_cast<Signal *>(self)->given;
                       given.wait(false);
                     },
                     [](void *self) -> int32_t { return static_cast<Signal *>(self)->given; }};
  void give() {
    given = true;
    given.notify_all();
  }
};

} // namespace

bool copiesThatGoOn(Session &session, std::string &why) {
  Traffic traffic(session);
  traffic.begin();
  traffic.wait();
  if (!traffic.right(why))
    return false;
  kiln_event *event = nullptr;
  int32_t code =
      traffic.api.read_async(traffic.buffers[0], Traffic::size - 4, traffic.found.data(), 8, &event, &traffic.failure);
  if (code == KILN_SUCCESS && event)
    code = traffic.api.wait(event, &traffic.failure);
  return code != KILN_SUCCESS || (why = "a read beyond the end of a buffer is no error", false);
}

bool noticesOfEvents(Session &session, std::string &why) {
  struct Told {
    std::atomic<int> times = 0, code = -1;
  } told[3];
  bool asked[3] = {};
  Traffic traffic(session);
  traffic.begin();
  for (size_t i = 0; i < 3 && traffic.wrong.empty(); ++i) {
    auto notice = [](void *context, int32_t code) {
      auto &one = *static_cast<Told *>(context);
      one.code = code;
      ++one.times;
    };
    asked[i] = traffic.events[i];
    if (asked[i])
      traffic.check(traffic.api.notify(traffic.events[i], notice, &told[i], &traffic.failure), "notify");
  }
  traffic.wait();
  if (!traffic.right(why))
    return false;
  for (size_t i = 0; i < 3; ++i)
    if (asked[i] && (told[i].times != 1 || told[i].code != KILN_SUCCESS))
      return why = "an event that was waited for was told of " + std::to_string(told[i].times) + " times, with code " +
                   std::to_string(told[i].code),
             false;
  return true;
}

bool workAfterASignal(Session &session, std::string &why) {
  Signal signal; // outlives the traffic
  Traffic traffic(session);
  if (!traffic.wrong.empty())
    return why = traffic.wrong, false;
  int32_t code = traffic.api.after(session.device(), &signal.signal, &traffic.failure);
  if (code != KILN_SUCCESS)
    return signal.give(), why = "after: " + messageOf(traffic.failure, code), false;
  // Should it wait for the signal here, and not in the queue, it is helped out.
  std::atomic<bool> returned = false;
  std::thread helper([&] {
    for (int i = 0; i < 100 && !returned; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    signal.give();
  });
  traffic.begin();
  bool early = signal.given;
  // Work that does not wait is done by now.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (traffic.found == traffic.bytes && !signal.given)
    traffic.wrong = "what it was given after a signal was done before the signal came";
  returned = true;
  helper.join();
  traffic.wait();
  if (early && traffic.wrong.empty())
    traffic.wrong = "write_async, copy_async or read_async waits for a signal that was given to after";
  return traffic.right(why);
}

} // namespace kiln::conformance
