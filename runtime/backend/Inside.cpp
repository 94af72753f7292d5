// The record of the call that is under way.

#include "runtime/backend/Inside.h"

#include "runtime/backend/Within.h"

#include "runtime/support/Error.h"

#include <cstdio>
#include <cxxabi.h>
#include <new>

namespace kiln {

std::atomic<CallRecord *> callRecord = nullptr;

void (*aroundForeignCall)(bool begins) = nullptr;

Inside::Inside(std::string_view backend, bool foreign, const char *function, std::string_view entry,
               std::string_view kernel)
    : record_(callRecord.load(std::memory_order_relaxed)), foreign_(foreign) {
  if (!record_)
    return;
  if (foreign && aroundForeignCall)
    aroundForeignCall(true);
  record_->backend.set(backend);
  record_->function.set(function);
  if (!entry.empty())
    record_->entry.set(entry);
  record_->kernel.set(kernel);
  record_->foreign = foreign;
  std::string_view name = function;
  record_->reading = name == "compile" || name == "load";
  record_->turn.fetch_add(1, std::memory_order_release);
}

Inside::~Inside() {
  if (!record_)
    return;
  record_->turn.fetch_add(1, std::memory_order_release);
  if (foreign_ && aroundForeignCall)
    aroundForeignCall(false);
}

AboutEntry::AboutEntry(std::string_view entry) {
  if (CallRecord *record = callRecord.load(std::memory_order_relaxed))
    record->entry.set(entry);
}

AboutEntry::~AboutEntry() {
  if (CallRecord *record = callRecord.load(std::memory_order_relaxed))
    record->entry.set({});
}

void noteKernelRead(std::string_view name) {
  CallRecord *record = callRecord.load(std::memory_order_relaxed);
  if (record && record->reading.load(std::memory_order_relaxed))
    record->kernel.set(name);
}

/// What is in flight, as the end of a sentence.
static std::string thrown() {
  try {
    throw;
  } catch (abi::__forced_unwind &) { // the thread ends: not to be kept from it
    throw;
  } catch (const std::bad_alloc &) {
    throw;
  } catch (const std::exception &exception) {
    return format(" (%.300s)", exception.what());
  } catch (...) {
    return "";
  }
}

void failThrown(std::string_view backend, const char *function, std::string_view entry) {
  std::string of = entry.empty() ? "" : " of '" + std::string(entry) + "'";
  throw BackendError(
      format("the backend %.*s threw an exception in its %s%s%s, which the backend interface forbids: tell its author",
             static_cast<int>(backend.size()), backend.data(), function, of.c_str(), thrown().c_str()));
}

void tellThrown(std::string_view backend, const char *function) noexcept {
  try {
    failThrown(backend, function, {});
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
}

} // namespace kiln
