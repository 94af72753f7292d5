// What a folder says of a model that hears: how a recording becomes a spectrogram, and what an answer begins with.
#pragma once

#include "frontend/huggingface/Settings.h"

namespace kiln::huggingface {

/// preprocessor_config.json. Throws Error for a number that is none.
void readSpectrogram(const Json &preprocessor, Settings &settings);

/// preprocessor_config.json of a model that hears samples: at which rate, levelled or not.
void readSamples(const Json &preprocessor, Settings &settings);

/// generation_config.json of Whisper: the tokens that an answer begins with (start, language, task, no times), as
/// transformers chooses them, None for a language that nothing names, which is then found by listening; the tokens that
/// are never drawn. Throws Error: a language or task that the model does not have, a token that is none.
void readAnswer(const Json &generation, Settings &settings);

} // namespace kiln::huggingface
