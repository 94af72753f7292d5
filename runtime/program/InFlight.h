// What a program's backends were given and are at still.
#pragma once

#include "runtime/backend/Device.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace kiln {

class Call;

/// Bytes of this process's memory.
struct HostSpan {
  const uint8_t *begin;
  size_t bytes;
  bool written;
};

/// Work that goes on while this process does. What one device is given it does in that order; between two of them the
/// process's memory alone is shared, so that it alone says who has to come after whom.
class InFlight {
public:
  InFlight() = default;
  InFlight(const InFlight &) = delete;
  ~InFlight();

  /// A status of zeros for an execution. It is given back, by the work that is over or by hand.
  kiln_status *status();
  void giveBack(kiln_status *status) { spare_.push_back(status); }

  /// An execution, or a copy, of which `event` tells (null: it is over).
  struct Work {
    const Device *device;
    kiln_event *event;
    std::vector<HostSpan> memory; ///< of this process, that it reads and writes
    const Call *call;             ///< tells what went wrong
    const char *what;             ///< a copy's error begins with it; null: an execution
    uint32_t backend;             ///< of an execution
    kiln_status *status;          ///< likewise
  };
  void add(Work work);
  /// How much was added so far.
  uint64_t added() const { return added_; }
  bool empty() const { return works_.empty(); }

  /// Before the device is given what touches this memory: what others do there comes first. Where both backends can,
  /// the one waits for the other by a signal; else this thread does. Throws what it finds wrong then.
  void order(const Device &device, std::span<const HostSpan> memory);
  /// Copies between a device's buffer and the process's memory, in the order that `order` finds; what goes on is added.
  void read(const Device &from, kiln_buffer *buffer, uint64_t offset, uint8_t *to, size_t bytes, const Call *call);
  void write(const Device &to, kiln_buffer *buffer, uint64_t offset, const uint8_t *from, size_t bytes,
             const Call *call);
  /// Waits until no more than `most` are left. Throws the first error.
  void settle(size_t most = 0);
  /// Waits for what was added before `added()` was that.
  void settleUntil(uint64_t added);

private:
  /// When a work is over: the signal for others.
  struct Moment {
    kiln_signal signal = {};
    std::mutex mutex;
    std::condition_variable come;
    bool came = false;
    const Device *told = nullptr; ///< the last that was
    Moment();
    static void notice(void *self, int32_t code);
  };
  struct Pending {
    Work work;
    std::unique_ptr<Moment> moment; ///< where somebody waits for it
    std::exception_ptr wrong;       ///< what came of it
    uint64_t number = 0;            ///< the first added is 1
  };
  bool signals(Pending &pending, const Device &to);
  /// The last `device` (null: any) was given of the first `count`, and with it all before.
  void await(const Device *device, size_t count);
  void await(Pending &pending);
  /// Forgets what is over, and throws where something went wrong.
  void tidy();

  std::vector<Pending> works_;
  uint64_t added_ = 0;
  std::vector<std::unique_ptr<Moment>> moments_; // of what is over: those who wait may hold them still
  std::vector<std::unique_ptr<kiln_status>> statuses_;
  std::vector<kiln_status *> spare_;
};

} // namespace kiln
