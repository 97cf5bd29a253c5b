# SPDX-License-Identifier: Apache-2.0
# Thin on purpose: the targets are the manual.

demo:            ; tools/demo
check:           ; tools/check
setup:           ; tools/setup --tests
build:           ; cmake --preset release && cmake --build --preset release
lint:            ; tools/lint
doors:           ; tools/doors
web:             ; tools/setup --web && build/debug/qlua lua tests/spec/run.lua tests/web/page_web.lua
asan:            ; tools/sanitize asan
tsan:            ; tools/sanitize tsan
fuzz:            ; tools/fuzz $(or $(T),sse) $(or $(N),60)
bench:           ; bench/run
bench-tools:     ; cmake --preset release && cmake --build --preset release --target bench-tools
install: build   ; cmake --install build/release --prefix $(or $(PREFIX),/usr/local)
e2e:             ; build/debug/qlua lua tests/spec/run.lua tests/e2e/*_spec.lua
real:            ; tools/real_setup && build/debug/qlua lua tests/spec/run.lua tests/real/*_spec.lua
soak:            ; QLUA_E2E_KILLS=$(or $(N),50) build/debug/qlua lua tests/spec/run.lua tests/e2e/kill_spec.lua
soak:            ; QLUA_E2E_KILLS=$(or $(N),50) QLUA_E2E_HOSTILE=all build/debug/qlua lua tests/spec/run.lua tests/e2e/kill_spec.lua tests/e2e/hostile_spec.lua
soak-streams: bench-tools ; cmake --build --preset release --target qlua && build/release/qlua lua bench/soak.lua $(or $(S),600)
golden:          ; QLUA_GOLDEN=write build/debug/qlua lua tests/spec/run.lua tests/spec/report_spec.lua tests/spec/html_spec.lua tests/e2e/demo_golden_spec.lua

.PHONY: real web demo check setup build lint doors asan tsan fuzz bench bench-tools install e2e soak soak-streams golden
