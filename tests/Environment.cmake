# What every test's process inherits: `kiln` looks behind each stage of a compile (passes/VerifyStages).
set(ENV{KILN_VERIFY_STAGES} 1)
