-- One request over and over; what came of it as one line of JSON. The body is in the file BODY.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = file:read("*a")
file:close()

done = function(summary, latency, _)
  local wrong = summary.errors
  io.write(string.format(
    '{"operations": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "wrong": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
