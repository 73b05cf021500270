"""Options of other programs that people type out of habit, and what voxrun does instead.

Those of whisper, mlx-whisper, faster-whisper, whisperX, whisper.cpp, mlx-audio, voxtral.c and ffmpeg. A new
one is a name in this table. An option that voxrun has itself must not be in it.
"""

HABITS = {
    "language lang l dl detect-language": "the model detects the language itself; leave it out",
    "task translate tr": "the model writes what is said, in the language it is said in; it cannot translate",
    "prompt initial-prompt carry-initial-prompt hotwords context prefix": (
        "the model takes no prompt; leave it out"
    ),
    "f": "a recording needs no option (voxrun talk.flac), and a format is --format",
    "i file files input": "a recording needs no option: voxrun talk.flac",
    "m repo hf-repo": "a model is --model",
    "d": "a model is --model; to hear a part of a recording, cut it first, as with ffmpeg -ss and -t",
    "model-dir model-path cache-dir download-root": (
        "a folder with a model is --model; downloaded ones are in the Hub's cache, which HF_HUB_CACHE moves"
    ),
    "hf-token": "set the variable HF_TOKEN, or log in with `hf auth login`",
    "o of out output-dir output-name output-file output-path": (
        "a file or a folder for transcripts is --output"
    ),
    "output-format otxt ovtt osrt ocsv olrc owts oj ojf output-txt output-vtt output-srt output-csv"
    " output-lrc output-words output-json output-json-full": "a format is --format",
    "word-timestamps return-timestamps timestamp-granularities dtw": (
        "--format json has the start and the end of every word, and --words gives each a cue"
    ),
    "highlight-words": "--words highlight marks them, with --format vtt",
    "max-line-width max-len ml": "the columns of a line are --line-length",
    "max-line-count": "the lines of a subtitle are --lines",
    "max-words-per-line split-on-word sow": "--words cue has one word in a subtitle; else see --line-length",
    "nt no-timestamps without-timestamps": "--format txt, the default, has no times; leave it out",
    "temperature tp temperature-inc temperature-increment-on-fallback tpi": "the temperature is --temp",
    "beam-size bs best-of bo patience length-penalty repetition-penalty no-repeat-ngram-size et"
    " entropy-thold lpt logprob-thold logprob-threshold nth no-speech-thold no-speech-threshold"
    " compression-ratio-threshold suppress-tokens suppress-blank suppress-regex suppress-nst sns"
    " condition-on-previous-text hallucination-silence-threshold mc max-context nf no-fallback wt"
    " word-thold": (
        "the model writes a token each 80 ms, without beams, thresholds or fallbacks; leave it out"
    ),
    "max-tokens max-new-tokens": "the length of the sound decides how many tokens there are; leave it out",
    "t threads p processors num-workers cpu-threads": (
        "voxrun uses all cores that the process may use; leave it out"
    ),
    "fp16 bf16 compute-type dtype quantize quantization q4 q8": (
        "the type of the weights is the model's; choose a model that is quantized so with --model"
    ),
    "gpu cuda cpu use-gpu ng no-gpu device-index fa flash-attn nfa no-flash-attn": (
        "MLX computes on the GPU if there is one; leave it out"
    ),
    "vad vad-filter vad-method vad-model vad-onset vad-offset vad-threshold vad-parameters vm": (
        "the model hears silence too, so nothing is cut out before; leave it out"
    ),
    "diarize di tdrz tinydiarize speaker-embeddings min-speakers max-speakers num-speakers": (
        "the model does not tell speakers apart"
    ),
    "ot offset-t on offset-n duration clip-timestamps ss to": (
        "a recording is heard whole; cut it first, as with ffmpeg -ss and -t"
    ),
    "batch-size batched workers j": "how many recordings are heard at once is --jobs",
    "chunk-length chunk-length-s chunk-size chunk-duration": (
        "sound of any length is one stream, in bounded memory; leave it out"
    ),
    "stdin": "standard input is -, as in: ffmpeg -v error -i URL -f wav - | voxrun -",
    "mic from-mic microphone": "without recordings voxrun hears the microphone; leave it out",
    "stream streaming live": "words of a pipe and of the microphone come as they are said; leave it out",
    "delay transcription-delay transcription-delay-ms": "the delay is --delay-ms",
    "v verbose debug q quiet silent np no-prints pp print-progress ps print-special pc print-colors": (
        "standard output has nothing but the transcript, and only a terminal shows progress; leave it out"
    ),
    "V": "the version is --version",
    "host port api-key serve server": "the server is another command: voxrun serve",
}
"""Names without dashes, `_` as `-` -> what to write instead."""

SERVER_HABITS = {
    "p": "the port is --port",
    "H address": "the address is --host",
    "listen bind b": "the address is --host and the port --port, as in: --host 127.0.0.1 --port 8000",
    "uds fd": "the server listens at an address, --host, and a port, --port; a proxy can have a socket file",
    "root-path": "the server answers at / only; let the proxy remove the prefix, and leave it out",
    "key apikey token auth-token": "a key is --api-key, or --api-key-file",
    "allowed-origins allow-origins cors cors-allow-origins cors-origins": (
        "an origin is --allow-origin, once for each"
    ),
    "served-model-name alias model-name": "a client may use any name for the model; leave it out",
    "workers num-workers threads t j jobs threads-http": (
        "one process serves all sessions, in one pass of the model; leave it out"
    ),
    "np parallel max-num-seqs max-concurrent-requests max-concurrency limit-concurrency": (
        "the number of sessions is --max-sessions"
    ),
    "timeout to ws-timeout timeout-keep-alive": "the time without a message is --idle-timeout",
    "timeout-graceful-shutdown": "the time to finish is --grace",
    "keep-alive ttl unload idle-timeout-unload sleep-idle-seconds": (
        "the time until the model is unloaded is --idle-unload, in minutes"
    ),
    "max-model-len ctx-size c max-audio-clip-filesize-mb": (
        "sessions of any length take bounded memory; the size of a recording is --max-upload"
    ),
    "ssl-keyfile ssl-certfile ssl-key-file ssl-cert-file certfile keyfile tls": (
        "the server speaks no TLS; put a proxy such as Caddy or nginx before it"
    ),
    "device": "MLX computes on the GPU if there is one, else on the CPU; leave it out",
    "gpu-memory-utilization kv-cache-dtype": (
        "a session takes little memory and no more with time; the number of sessions is --max-sessions"
    ),
    "dtype compute-type quantize quantization q": (
        "the type of the weights is the model's; choose a model that is quantized so with --model"
    ),
    "format output-format response-format": (
        "a client asks for a format, by response_format beside its recording; leave it out"
    ),
    "delay transcription-delay transcription-delay-ms": "the delay is --delay-ms",
    "temp temperature": "a client asks for a temperature in its session; leave it out",
    "metrics": "GET /metrics has them always; leave it out",
    "log-level uvicorn-log-level access-log disable-log-requests v verbose quiet silent": (
        "the server reports faults only, on stderr, and GET /metrics the rest; leave it out"
    ),
    "convert": "recordings of all formats are taken; leave it out",
    "reload daemon d": "the server does not do this; use a supervisor such as systemd or launchd",
}
"""The same for `voxrun serve`: those of vLLM, mlx-audio, whisper.cpp's server, llama.cpp's and uvicorn."""

COMPUTERS = {"auto", "cpu", "gpu", "cuda", "mps", "metal", "mlx"}
"""Values of other programs' --device."""

LONG_DASHES = "\N{EN DASH}\N{EM DASH}"
_ADVICE = {name: advice for names, advice in HABITS.items() for name in names.split()}
_SERVER_ADVICE = {name: advice for names, advice in SERVER_HABITS.items() for name in names.split()}


def advice(option: str) -> str | None:
    """What to write instead of another program's option, in any spelling of its dashes; None if unknown."""
    return _ADVICE.get(option.lstrip("-")) or _ADVICE.get(plain(option))


def server_advice(option: str) -> str | None:
    """The same for `voxrun serve`, which has other options."""
    own = _SERVER_ADVICE.get(option.lstrip("-")) or _SERVER_ADVICE.get(plain(option))
    general = advice(option) or ""
    return own or (general if general.endswith("leave it out") and "--" not in general else None)


def plain(option: str) -> str:
    """An option as the table names it."""
    name = option.lstrip(f"-{LONG_DASHES}").replace("_", "-")
    return name if len(name) == 1 else name.lower()


def device_advice(device: str) -> str | None:
    """What to write instead of `--device cuda`; None if it may be a microphone."""
    if device.partition(":")[0].lower() not in COMPUTERS:
        return None
    return "--device is a microphone; MLX computes on the GPU if there is one: leave it out"
