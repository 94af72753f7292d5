/* artifact.h: what the compile side of the CPU backend leaves behind and its run side picks up.
 *
 * A kernel is a list of phases, run one after another with a barrier between them. A phase is a function over a range
 * of tasks; how many there are depends on the extents alone, and what a task writes depends neither on the number of
 * threads nor on who runs it. Within one call tasks run in ascending order.
 */
#ifndef KILN_CPU_ARTIFACT_H
#define KILN_CPU_ARTIFACT_H

#include "backends/api/kiln_backend.h"
#include "backends/api/kiln_tree.h"

#include <cstdint>

#define KILN_CPU_ARTIFACT_VERSION 4

namespace kiln::cpu {

/* A pointer as the distance from itself; 0: null. A program may be loaded anywhere: each address in it is a relocation
 * of 24 bytes beside its 8, and work at its start, and a distance is neither. It cannot be moved. */
template <typename T> class Distance {
public:
  Distance() = default;
  Distance(const Distance &) = delete;
  Distance &operator=(const Distance &) = delete;
  /* For tests: to what lies in the same program or library. */
  Distance &operator=(T *target) {
    bytes_ = target ? static_cast<int32_t>(reinterpret_cast<intptr_t>(target) - reinterpret_cast<intptr_t>(this)) : 0;
    return *this;
  }

  operator T *() const { return bytes_ ? reinterpret_cast<T *>(reinterpret_cast<intptr_t>(this) + bytes_) : nullptr; }
  T *operator->() const { return *this; }

private:
  int32_t bytes_ = 0;
};

} // namespace kiln::cpu

extern "C" {

/* args: inputs, then outputs; of a kernel that can be prepacked one more, the packed input or null. scratch: the
 * launch's, of the claimed size. worker_scratch: this worker's own, of the kernel's worker_scratch_bytes, 64-byte
 * aligned; what is in it stays from one range of a phase's tasks to the worker's next one, and the bytes that it begins
 * with (KILN_CPU_WORKER_NOTE_BYTES, where it has any) are zero for the first (kiln_cpu_begin_phase). status: this
 * worker's own record; the first report of a call stays.
 */
typedef void kiln_cpu_run_phase(void *const *args, const int64_t *extents, void *scratch, void *worker_scratch,
                                kiln_status *status, int64_t begin, int64_t end);

#define KILN_CPU_WORKER_NOTE_BYTES 64

typedef struct kiln_cpu_phase {
  kiln::cpu::Distance<kiln_cpu_run_phase> run;
  kiln::cpu::Distance<int64_t(const int64_t *extents)> tasks;
} kiln_cpu_phase;

/* One input as the kernel's phases want it packed: made once, it saves them that as long as the input does not change.
 * Its bits are those that they would make. */
typedef struct kiln_cpu_prepacking {
  kiln_cpu_phase phase; /* packs all of the input, into args' last */
  int64_t input;        /* its number among the kernel's inputs */
  int64_t bytes;        /* packed */
  int64_t replaces;     /* the phase that need not run then; -1: none */
  /* Equal ones of the same input are the same bytes, in another kernel too. */
  kiln::cpu::Distance<const char> layout;
} kiln_cpu_prepacking;

typedef struct kiln_cpu_kernel {
  kiln::cpu::Distance<const char> name;
  kiln::cpu::Distance<const kiln_cpu_phase> phases;
  kiln::cpu::Distance<const kiln_cpu_prepacking> prepacking; /* null: none */
  int32_t phase_count;
  int64_t worker_scratch_bytes;
  int64_t input_count;
} kiln_cpu_kernel;

/* A worker comes to a phase of the kernel. */
static inline void kiln_cpu_begin_phase(const kiln_cpu_kernel *kernel, void *worker_scratch) {
  if (kernel->worker_scratch_bytes >= KILN_CPU_WORKER_NOTE_BYTES)
    *(int64_t *)worker_scratch = 0;
}

/* Whether a loop moves over the place. */
static inline int kiln_cpu_moves(const kiln_place *place) {
  uint32_t level;
  for (level = 0; level < KILN_MAX_LOOPS; ++level)
    if (place->stride[level].value != 0)
      return 1;
  return 0;
}

/* Whether a launch's place is one that no execution of its entry changes: a constant, or a parameter that is only read.
 * What a loop moves over is none. */
static inline int kiln_cpu_lasts(const kiln_reader *reader, const kiln_program *program, uint32_t entry,
                                 const kiln_place *place) {
  kiln_argument argument;
  if (kiln_cpu_moves(place))
    return 0;
  if (place->space != KILN_SPACE_ARGUMENT || !KILN_HAS(reader, kiln_reader, argument))
    return place->space == KILN_SPACE_CONSTANT;
  argument.size = sizeof argument;
  argument.role = KILN_ROLE_UNKNOWN;
  reader->argument(program, entry, place->argument, &argument);
  return argument.role == KILN_ROLE_PARAMETER && argument.flags == KILN_ARGUMENT_READ;
}

struct kiln_cpu_writes {       /* a search for who writes an argument */
  const int64_t *input_counts; /* of the program's kernels */
  uint32_t argument;
  int found;
};

static inline void kiln_cpu_look_at_writes(void *self, const kiln_node *node, const kiln_node_info *info,
                                           uint32_t loops) {
  struct kiln_cpu_writes *search = (struct kiln_cpu_writes *)self;
  int64_t i = info->kind == KILN_NODE_LAUNCH ? search->input_counts[info->kernel] : 1; /* a copy reads one */
  (void)node, (void)loops;
  for (; i < (int64_t)info->place_count; ++i)
    search->found |= info->places[i].space == KILN_SPACE_ARGUMENT && info->places[i].argument == search->argument;
}

/* Whether what a launch reads at the place stays as it is while the loop around it runs: an argument that nothing in
 * the loop writes, and that no loop moves over. */
static inline int kiln_cpu_lasts_in_loop(const kiln_reader *reader, const int64_t *input_counts, const kiln_node *loop,
                                         const kiln_place *place) {
  struct kiln_cpu_writes search;
  if (place->space != KILN_SPACE_ARGUMENT || kiln_cpu_moves(place))
    return 0;
  search.input_counts = input_counts;
  search.argument = place->argument;
  search.found = 0;
  kiln_walk_nodes(reader, loop, 0, kiln_cpu_look_at_writes, &search);
  return !search.found;
}

typedef struct kiln_cpu_artifact {
  uint32_t version;      /* KILN_CPU_ARTIFACT_VERSION */
  uint32_t kernel_count; /* in the program's order */
  kiln::cpu::Distance<const kiln_cpu_kernel> kernels;
  kiln::cpu::Distance<const char> triple;
  kiln::cpu::Distance<const char> cpu;
  kiln::cpu::Distance<const char>
      features; /* comma-separated names, as LLVM spells them, of what the code needs: "avx2,fma,avx512f" */
} kiln_cpu_artifact;
}

#endif /* KILN_CPU_ARTIFACT_H */
