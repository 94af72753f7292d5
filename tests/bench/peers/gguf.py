"""A GGUF file's decoding and reading, beside llama.cpp.

usage: gguf.py KILN FILE.gguf [--threads 2] [--rounds 7] [--tokens 64] [--prompt-tokens 256]
Needs PyPI's xllamacpp (llama.cpp in a wheel). Both draw greedily from the same file, in turn; a Kiln program is timed from
outside, by the difference of two lengths, so that its start is not counted (of the fastest of each, and of the medians: not
of single rounds, whose noise would be subtracted too); llama.cpp tells its own times. Prints of both the milliseconds a token
and their ratio, fastest and median, and how far both texts agree.
"""
import argparse
import os
import statistics
import subprocess
import tempfile
import time

import xllamacpp


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kiln")
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=256)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as work:
        program = os.path.join(work, "program")
        subprocess.run([arguments.kiln, "build", arguments.file, "-o", program, "--set", "context=1024"], check=True)
        params = xllamacpp.CommonParams()
        params.model.path = arguments.file
        params.n_ctx, params.n_parallel, params.verbosity = 1024, 1, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = arguments.threads
        server = xllamacpp.Server(params)
        words = "the of and to in is was for that it".split()
        long = " ".join(words[i * 7 % len(words)] for i in range(arguments.prompt_tokens))

        def ours(prompt, tokens):
            begin = time.perf_counter()
            out = subprocess.run([program, "generate", "--prompt", prompt, "--tokens", str(tokens), "--greedy", "--threads", str(arguments.threads)],
                                 check=True, capture_output=True, text=True).stdout
            return time.perf_counter() - begin, out

        def theirs(prompt, tokens):
            told = server.handle_completions({"prompt": prompt, "max_tokens": tokens, "temperature": 0, "top_k": 1, "ignore_eos": True, "cache_prompt": False})
            return told["timings"], told["choices"][0]["text"]

        short = "Once upon a time"
        rows = {"decode": ([], [], []), "prompt": ([], [], [])}
        for _ in range(arguments.rounds):
            few, some = ours(short, 8)[0], ours(short, 8 + arguments.tokens)
            timings, text = theirs(short, 8 + arguments.tokens)
            for values, value in zip(rows["decode"], (few, some[0], timings["predicted_per_token_ms"])):
                values.append(value)
            one, reads = ours(short, 1)[0], ours(long, 1)[0]
            timings, _ = theirs(long, 1)
            for values, value in zip(rows["prompt"], (one, reads, timings["prompt_per_token_ms"])):
                values.append(value)
        same = len(os.path.commonprefix([some[1], short + text]))
        for name, (short_runs, long_runs, peers) in rows.items():
            count = arguments.tokens if name == "decode" else timings["prompt_n"]
            for how, of in (("fastest", min), ("median", statistics.median)):
                own, peer = (of(long_runs) - of(short_runs)) / count * 1e3, of(peers)
                print(f"{name:8} {how:8} kiln {own:7.2f} ms a token, llama.cpp {peer:7.2f}, ratio {own / peer:.2f} ({len(peers)} rounds)")
        print(f"both texts begin with the same {same} of {len(some[1])} characters")


if __name__ == "__main__":
    main()
