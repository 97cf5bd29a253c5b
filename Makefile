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
fuzz:            ; tools/fuzz $(T)
bench:           ; bench/run
install: build   ; cmake --install build/release --prefix $(or $(PREFIX),/usr/local)
e2e:             ; build/debug/qlua lua tests/spec/run.lua tests/e2e/*_spec.lua
soak:            ; QLUA_E2E_KILLS=$(or $(N),50) build/debug/qlua lua tests/spec/run.lua tests/e2e/kill_spec.lua
golden:          ; build/debug/qlua lua tools/golden.lua

.PHONY: web demo check setup build lint doors asan tsan fuzz bench install e2e soak golden
