// The faults that FaultyPlugin.cpp can plant.
#pragma once

#include <cstring>

namespace kiln::test {

#define KILN_FAULTS(F)                                                                                                 \
  F(FloorForRound)                                                                                                     \
  F(LogForLog1p)                                                                                                       \
  F(ExpForExpm1)                                                                                                       \
  F(DivisionForRemainder)                                                                                              \
  F(ExclusiveIgnored)                                                                                                  \
  F(SortAscendingOnly)                                                                                                 \
  F(MinimumIsLast)                                                                                                     \
  F(StrictComparison)                                                                                                  \
  F(DilationIgnored)                                                                                                   \
  F(StreamIgnored)                                                                                                     \
  F(LoopsForwards)                                                                                                     \
  F(WritesBeyondStruct)                                                                                                \
  F(ClaimsEverything)                                                                                                  \
  F(RefusesWithoutReason)                                                                                              \
  F(AnswersFromAnotherThread)                                                                                          \
  F(ScratchLies)                                                                                                       \
  F(CompileFails)                                                                                                      \
  F(CompilesToNothing)                                                                                                 \
  F(AllocationFails)                                                                                                   \
  F(AllocatesAnything)                                                                                                 \
  F(Leaks)                                                                                                             \
  F(ReadBeyondEnd)                                                                                                     \
  F(LoadGivesNothing)                                                                                                  \
  F(ExecuteFails)                                                                                                      \
  F(DeviceLost)                                                                                                        \
  F(DoesNothing)                                                                                                       \
  F(ForgetsStatus)                                                                                                     \
  F(WrongStatusLimit)                                                                                                  \
  F(NotDeterministic)                                                                                                  \
  F(WritesBehindOutput)                                                                                                \
  F(WritesBeforeOutput)                                                                                                \
  F(WritesBehindScratch)                                                                                               \
  F(IgnoresVersions)

/// These end or stop the process that they happen in.
#define KILN_FATAL_FAULTS(F)                                                                                           \
  F(CrashesAtCompile)                                                                                                  \
  F(EndsProcess)                                                                                                       \
  F(Hangs)                                                                                                             \
  F(CrashesAtExecute)                                                                                                  \
  F(CrashesAtOpen)                                                                                                     \
  F(CrashesAtClaim)                                                                                                    \
  F(CrashesAtEnd)                                                                                                      \
  F(ReadsBehindOperand)

enum class Fault {
  None,
#define KILN_FAULT_VALUE(name) name,
  KILN_FAULTS(KILN_FAULT_VALUE) KILN_FATAL_FAULTS(KILN_FAULT_VALUE)
#undef KILN_FAULT_VALUE
};

inline Fault faultNamed(const char *name) {
#define KILN_FAULT_TEST(fault)                                                                                         \
  if (std::strcmp(name, #fault) == 0)                                                                                  \
    return Fault::fault;
  KILN_FAULTS(KILN_FAULT_TEST)
  KILN_FATAL_FAULTS(KILN_FAULT_TEST)
#undef KILN_FAULT_TEST
  return Fault::None;
}

} // namespace kiln::test
