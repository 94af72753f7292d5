// Recordings become inputs.
#include "runtime/cli/Recordings.h"

#include "runtime/files/Wav.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace kiln {

static void setSamples(Call &call, int input, std::span<const float> samples, const std::string &what) {
  int64_t shape[] = {1, static_cast<int64_t>(samples.size())};
  size_t rank = call.entry().arguments[static_cast<size_t>(input)].type.shape.size();
  call.setInput(input, KILN_F32, std::span(shape).last(rank), samples.data(), what.c_str());
}

void Pieces::set(Call &call, size_t number) const {
  if (samples_.empty())
    return;
  size_t begin = number * most_;
  setSamples(call, input_, std::span(samples_).subspan(begin, std::min(most_, samples_.size() - begin)),
             "the recording");
}

void Pieces::setFrom(Call &call, double seconds) const {
  size_t begin = std::min(static_cast<size_t>(std::llround(seconds * rate_)), samples_.size() - 1);
  setSamples(call, input_, std::span(samples_).subspan(begin, std::min(most_, samples_.size() - begin)),
             "the recording");
}

void setRecording(Call &call, int input, const std::string &path, const Manifest &manifest, Pieces *pieces) {
  const ArgumentSpec &argument = call.entry().arguments[static_cast<size_t>(input)];
  size_t rank = argument.type.shape.size();
  if (argument.type.dtype != KILN_F32 || rank < 1 || rank > 2)
    fail("'%s' is a recording, f32[N], or f32[1, N]; '%s' is %s", path.c_str(), argument.name.c_str(),
         argument.type.str().c_str());
  if (!kiln_recordings || !manifest.samplingRate)
    fail("'%s': this program reads no recordings, because its model says no sampling_rate; set one (sampling_rate = "
         "16000) and build it again",
         path.c_str());
  Recording recording = kiln_recordings->read(path, manifest.samplingRate);
  size_t most = SIZE_MAX;
  for (const SymbolSpec &symbol : call.entry().symbols)
    if (argument.type.shape.back() == Dim::symbol(symbol.name))
      most = static_cast<size_t>(symbol.bound);
  if (recording.samples.size() <= most) {
    setSamples(call, input, recording.samples, "'" + path + "'");
    if (pieces)
      *pieces = Pieces(input, most, std::move(recording));
    return;
  }
  double rate = static_cast<double>(recording.rate), seconds = static_cast<double>(recording.samples.size()) / rate;
  if (!pieces)
    fail("'%s' is %.1f seconds long, and '%s' takes %.1f at most: cut it", path.c_str(), seconds, argument.name.c_str(),
         static_cast<double>(most) / rate);
  *pieces = Pieces(input, most, std::move(recording));
}

} // namespace kiln
