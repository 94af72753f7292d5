// A loaded program: its memory, its threads, and its entries, ready to run.
#pragma once

#include "runtime/backend/Device.h"
#include "runtime/backend/Settings.h"
#include "runtime/program/Arena.h"
#include "runtime/program/Extents.h"
#include "runtime/program/Image.h"
#include "runtime/program/InFlight.h"
#include "runtime/program/Manifest.h"
#include "runtime/program/Plan.h"
#include "runtime/program/Profile.h"
#include "runtime/program/WeightFiles.h"
#include "runtime/threads/ThreadPool.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

class Safetensors;
struct TensorRequest;
class Call;
class Walk;

/// Whose a session state is. A sequence that is read and drawn, training (train_step, grad) and an evaluation each have
/// their own, so that none of them goes on from another's.
enum class Session : uint8_t { Sequence, Training, Evaluation };
Session sessionOf(std::string_view entry);

class Program {
public:
  /// Reads and checks the image's manifest, opens the device and loads the backend; parameters and states are there, as
  /// zeros. `devices`: of the first backend; where there are several, the functions have them in turn (deviceOf).
  /// `backendOptions`: "[BACKEND.]NAME=VALUE". Throws Error.
  Program(const kiln_program_image &image, unsigned threads, const std::vector<uint32_t> &devices = {0},
          const std::vector<std::string> &backendOptions = {});
  ~Program();
  Program(const Program &) = delete;

  const Manifest &manifest() const { return manifest_; }
  /// From here on `train` and `data` of the manifest are this recipe's.
  void chooseStage(const std::string &name) { manifest_.chooseStage(name); }
  ThreadPool &pool() { return pool_; }
  const kiln_program_image &image() const { return image_; }

  /// By the recipe's initialisers, or, where the program carries weights, from those.
  void initialise(uint32_t seed);
  void initialiseStates(uint32_t seed, bool sessionOnly);
  /// One session's states alone.
  void resetSession(Session session, uint32_t seed);

  /// Parameters and states as they are now, in this process's memory. What is written to them there counts from the
  /// next run on. (On a device with memory of its own, each of these calls fetches what runs have changed since.)
  std::vector<Tensor> &parameters() { return fetched(parameters_); }
  /// This one alone; null when unknown.
  Tensor *parameter(const std::string &name);
  /// States at their bounds: the manifest's, in their order, where a session state is that of a sequence; after them
  /// those that training and an evaluation keep of session states.
  std::vector<Tensor> &states() { return fetched(states_); }
  /// What the manifest says of states()[slot].
  const StateSpec &stateSpec(size_t slot) const { return manifest_.states[slots_[slot].state]; }
  /// Where in states() a session's session states are.
  std::vector<size_t> sessionSlots(Session session) const;
  Tensor *state(const std::string &name) { return state(name, Session::Sequence); }
  Tensor *state(const std::string &name, Session session);
  /// The shape that a session state has now: given by the run that wrote it last; empty after a reset.
  std::vector<int64_t> &sessionShape(size_t slot) { return sessionShapes_[slot]; }

  /// Weights: the parameters, and the persistent states.
  std::vector<TensorView> weights();
  std::vector<TensorRequest> weightRequests();
  void loadWeights(const std::string &path);
  /// Initial values where the choice does not bring all of them, then its files. What did not fit, of a partial one.
  std::vector<std::string> start(uint32_t seed, const WeightChoice &choice);

  /// The entry, made ready on first use. Throws Error with the names that there are.
  Call &call(const std::string &entry) { return call(entry, deviceOf(manifest_, entry, homes())); }
  /// The entry on the device of that number, among those that the program was given.
  Call &call(const std::string &entry, uint32_t home);
  /// How many devices the first backend has here.
  size_t homes() const { return 1 + otherHomes_.size(); }
  /// Which of so many devices an entry runs on: the first trains, the others have the other functions in turn, in the
  /// order of `info`. Where nothing trains, all have.
  static uint32_t deviceOf(const Manifest &manifest, std::string_view entry, size_t devices);

  /// From now on executions add their launches' times to `profile`, which outlives them; null: no longer. A backend
  /// that measures no launches counts as one each time. Throws Error where a device cannot measure.
  void profile(Profile *profile);

  /// From now on executions add what their backends counted to `counts`, which outlives them; null: no longer.
  void count(Counts *counts) { counts_ = counts; }

private:
  friend class Call;
  /// A parameter or state on the devices.
  struct Residence {
    struct Copy {
      DeviceBuffer buffer;  ///< made when an entry first needs it there
      bool current = false; ///< it holds what the newest does
    };
    std::vector<Copy> on; ///< by home
    bool hostNewer = true, deviceNewer = false;
    uint32_t owner = 0; ///< where deviceNewer: the home that has it
    /// Of what it holds: kiln_execution.versions.
    uint64_t version = nextVersion();
    void changed() { version = nextVersion(); }
  };
  /// Each number once in this process.
  static uint64_t nextVersion();
  struct Slot {
    size_t state; // in the manifest
    Session session;
  };
  void makeStates();
  void placeTensors();
  void initialiseStates(uint32_t seed, bool sessionOnly, bool fresh);
  void initialiseState(size_t slot, uint32_t seed, bool fresh);
  void addState(size_t state, Session session, std::vector<int64_t> shape);
  struct OpenBackend;
  void openBackends(const std::vector<uint32_t> &devices, const std::vector<std::string> &options);
  void openDevice(OpenBackend &opened, uint32_t backend, uint32_t device);
  void unload();
  void reserveArena(size_t bytes, bool whole);
  /// Built with red zones: each execution goes launch by launch, and what lies around the buffers is looked at.
  bool watched() const;
  void addRedZones();
  Residence &residence(const Tensor &tensor);
  kiln_buffer *bufferOn(uint32_t home, Residence &residence, Tensor &tensor);
  /// What the host, or another home, has of it that this one lacks.
  void bringTo(uint32_t home, Residence &residence, Tensor &tensor, size_t bytes, const Call *call);
  void changedOn(uint32_t home, Residence &residence);
  /// All homes work in this process's memory.
  bool hostMemory() const;
  /// As parameter() and state(), of which nobody asks for the contents.
  Tensor *findParameter(const std::string &name);
  Tensor *findState(const std::string &name, Session session);
  void fetch(Tensor &tensor);
  std::vector<Tensor> &fetched(std::vector<Tensor> &tensors);
  static void parallelFor(void *self, int64_t count, kiln_task task, void *context);
  static void log(void *self, int32_t level, kiln_string message);

  const kiln_program_image &image_;
  Manifest manifest_;
  Plan plan_;
  ThreadPool pool_;
  kiln_host host_ = {};
  /// A backend at work. The first is the home of parameters, states and results.
  struct OpenBackend {
    BackendTables tables;
    SettingList settings;
    kiln_host host; ///< the program's, with these
    std::unique_ptr<Device> device;
    kiln_executable *executable = nullptr;
    DeviceBuffer arena;
  };
  const Device &home() const { return *backends_[0]->device; }
  OpenBackend &homeAt(uint32_t home) { return home ? *otherHomes_[home - 1] : *backends_[0]; }
  template <typename Visit> void eachOpened(Visit visit) {
    for (auto *list : {&backends_, &otherHomes_})
      for (std::unique_ptr<OpenBackend> &opened : *list)
        visit(*opened);
  }
  std::vector<std::unique_ptr<OpenBackend>> backends_;
  std::vector<std::unique_ptr<OpenBackend>> otherHomes_; // the first backend on further devices
  Arena memory_;                                         // parameters and states, where these are large
  std::vector<Tensor> parameters_, states_;
  /// Both are zeros as the system gives them: nothing was made ready to run, and nobody has asked for them. What is to
  /// be zeros is then not written, and takes no memory before something runs that writes it.
  bool fresh_ = true;
  std::vector<Residence> parameterHomes_, stateHomes_;
  std::map<std::string, size_t> parameterIndex_;
  std::map<std::pair<std::string, Session>, size_t> stateIndex_;
  std::vector<Slot> slots_;                         // of states_
  std::vector<std::vector<int64_t>> sessionShapes_; // likewise
  std::map<std::pair<std::string, uint32_t>, std::unique_ptr<Call>> calls_;
  Arena arena_; // where a device works in this process's memory, or several backends share the work
  size_t arenaBytes_ = 0;
  Profile *profile_ = nullptr;
  Counts *counts_ = nullptr;
  InFlight inFlight_; // gone before all that it may still use
};

/// An input that a tensor is put into.
struct BatchInput {
  const ArgumentSpec *argument;
  void *data;
  std::vector<int64_t> *shape; ///< of what is there
};
/// Copies a tensor into an input of the entry, converting where every value fits; allocates nothing once the shape has
/// its length. `what` begins an error's sentence.
void setBatchInput(const EntrySpec &entry, const BatchInput &input, kiln_dtype dtype, std::span<const int64_t> shape,
                   const void *data, const char *what);

/// One entry with its buffers. A step: set the inputs' shapes and contents, then run().
class Call {
public:
  Call(Program &program, size_t entry, uint32_t home);

  const EntrySpec &entry() const { return spec_; }

  /// Index among the entry's arguments, or -1.
  int input(const std::string &name) const;
  std::vector<int> inputs() const;
  /// An input's memory, or a result's after it was fetched.
  void *data(int argument) { return buffers_[static_cast<size_t>(argument)].host; }
  /// The shape that an input has in the next run. To be written in place: no allocation.
  std::vector<int64_t> &shape(int argument) { return shapes_[static_cast<size_t>(argument)]; }
  /// Copies a tensor into an input, converting where every value fits.
  void setInput(int argument, const TensorView &tensor, const std::string &what);
  /// The same without a view, as setBatchInput.
  void setInput(int argument, kiln_dtype dtype, std::span<const int64_t> shape, const void *data, const char *what);

  /// Checks the inputs' shapes, so that resultShape() tells before the run what it will give.
  void bindShapes();
  /// The shape of a result (or of any argument) under the shapes bound last.
  const std::vector<int64_t> &resultShape(int argument) const { return extents_.shape(static_cast<size_t>(argument)); }

  /// Where the inputs now have fewer rows than the session's states, those of the first rows go on: for the last,
  /// smaller batch of a split.
  void narrowSessions();

  /// Throws Error for shapes that do not fit, and for what the backend reports (with op and source line).
  void run(uint32_t seed, int64_t step);
  /// The same, but what the backend can do on its own may go on afterwards: inputs may be filled for the next run. What
  /// it reports then is thrown by whoever next asks for a result, runs something or reads weights.
  void start(uint32_t seed, int64_t step);
  bool goesOn() const { return !program_.inFlight_.empty(); }
  /// Loss (NaN where there is none) and metrics of the run that was started last: they may be taken when the next is
  /// under way already. Of two runs at most, and only where the device can read while it goes on (readsLater).
  struct Numbers {
    double loss;
    std::vector<double> metrics;
  };
  bool readsLater() const { return goesOn() && home().api().read_async; }
  size_t askLater();
  void take(size_t asked, Numbers &numbers);
  /// The same at once.
  void take(Numbers &numbers);

  /// Runs it launch by launch and says which result is the first that is not finite; empty where none is. States and
  /// parameters change as in a run. Throws Error where a backend cannot.
  std::string findNotFinite(uint32_t seed, int64_t step);

  /// Runs the entry launch by launch (runtime/program/Compare.cpp).
  class Stepper;

  bool hasLoss() const { return loss_ >= 0; }
  double loss();
  struct Metric {
    std::string name;
    int argument;
  };
  const std::vector<Metric> &metrics() const { return metrics_; }
  double number(int argument);
  /// A result's elements in this process's memory, until the next run.
  const void *result(int argument) {
    fetch(static_cast<size_t>(argument));
    return data(argument);
  }
  /// The results that a user sees, under their actual shapes: outputs or gradients.
  std::vector<TensorView> results(Role role);
  /// What the last run did, at its extents. Loops count as often as they ran; a `while` once; of an `if` the dearer
  /// half.
  Work work() const;
  /// Leading extent of the first input in the last run: the number of examples.
  int64_t examples() const;

private:
  friend class InFlight;
  /// Throws what is wrong with work that is over.
  void checkOver(const InFlight::Work &work, int32_t code, kiln_error &error) const;
  void checkExecution(uint32_t backend, int32_t code, kiln_error &error, const kiln_status &status) const;
  [[noreturn]] void failCancelled(uint32_t backend) const;
  /// What went wrong in the data of an execution, as one of the program's backends tells it.
  std::string describe(const kiln_status &status, uint32_t backend) const;
  std::string describeAt(const kiln_error &error) const;
  std::string inputThatHolds(int64_t value, int64_t limit) const;
  Tensor &homeOf(size_t argument);
  void bindBuffer(size_t argument);
  /// Extents, seed and step of the next execution.
  void bind(uint32_t seed, int64_t step);

  /// A backend as this entry has it: of the first, on this entry's device.
  Program::OpenBackend &opened(uint32_t backend) const {
    return backend ? *program_.backends_[backend] : program_.homeAt(home_);
  }
  const Device &home() const { return *opened(0).device; }

  Program &program_;
  size_t index_;
  const EntrySpec &spec_;
  uint32_t home_; ///< its device
  Extents extents_;
  /// What the entry is given for an argument.
  struct Buffer {
    void *host = nullptr;
    Memory memory;                      // its own, unless a parameter or state lives there
    DeviceBuffer device;                // likewise
    Program::Residence *home = nullptr; // of the parameter or state
    Tensor *tensor = nullptr;           // likewise
    bool stale = false;                 // the device has what the host has not fetched
    uint64_t version = 0;               // of what is arranged, and the host's alone to write
  };
  void upload();
  /// Parameters that kernels want in another order: as they are now, where they have changed.
  struct Arranged {
    size_t argument;
    Tensor *tensor;
    Program::Residence *home;
    uint64_t version; ///< of the parameter, when it was arranged
  };
  Arranged arrangedOf(size_t argument);
  void arrange();
  void runPart(const Placement::Part &part);
  /// Of this process's memory, what a part touches, and what an access does.
  std::vector<HostSpan> memoryOf(const Placement::Part &part) const;
  HostSpan memoryOf(const Placement::Access &access, bool written) const;
  /// What the part's backend may take for unchanged; and that what it writes has changed, whatever becomes of it.
  const uint64_t *versionsFor(const Placement::Part &part);
  void noteWrites(const Placement::Part &part);
  void noteAllWritten();
  std::vector<size_t> writtenBy(const Placement::Part &part) const;
  void bring(const Placement::Part &part, bool back);
  void keepTimes(uint32_t backend, int64_t began);
  Work workOf(const kiln_node &node) const;
  void finish();
  /// Brings a result to the host, where the device keeps it elsewhere.
  void fetch(size_t argument);
  size_t bytesNow(size_t argument) const;
  void inspect(Walk &walk, uint32_t backend, const kiln_node &node, std::string &text, std::string &negative);
  /// Runs a part's leaf, an entry of what the walk loaded. `what`: begins the sentence of an error, which is thrown.
  kiln_status executeLeaf(const Placement::Part &part, Walk &walk, size_t number, kiln_executable *executable,
                          const char *what);
  /// Runs a part launch by launch; `after` looks, and says whether to go on. An error of the backend is thrown.
  using After = std::function<bool(Walk &, const kiln_node &, const kiln_status &)>;
  void walkPart(const Placement::Part &part, const After &after);
  // RedZones.cpp
  void runWatched();
  void poison();
  void checkZones(uint32_t backend, const kiln_node &node);
  void checkArgument(size_t argument, const std::string &who) const;
  const uint8_t *look(uint32_t backend, const kiln_place &place, size_t bytes, std::vector<uint8_t> &scratch);

  std::vector<Buffer> buffers_;
  std::vector<uint64_t> versions_;                  // of the execution that is under way
  std::vector<std::vector<size_t>> written_;        // by part: the parameters and states that it writes
  std::vector<std::vector<kiln_buffer *>> handles_; // by backend, as the backend takes them
  std::vector<DeviceBuffer> mirrors_;               // of the backends after the first
  std::vector<std::vector<int64_t>> shapes_;
  struct CopyBack {
    size_t from;
    Tensor *to;
    Program::Residence *home;
    kiln_buffer *handle;
  };
  std::vector<CopyBack> copies_;
  struct SessionArgument {
    size_t argument, slot;
    bool result;
  };
  std::vector<SessionArgument> sessions_;
  std::vector<Metric> metrics_;
  std::vector<Arranged> arranged_;
  struct Asked {
    std::vector<uint64_t> values; ///< as the device has them
    uint64_t added = 0;           ///< when they are there
  };
  Asked asked_[2];
  size_t turn_ = 0;
  int loss_ = -1, seed_ = -1, step_ = -1;
};

} // namespace kiln
