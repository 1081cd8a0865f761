-- The requests of a file in turns, a body a line; what came of it as one line of JSON. With a path
-- and a tab before it, a body goes there.
local requests, turn = {}, 0

init = function(_)
  for line in io.lines(os.getenv("BODIES")) do
    local path, body = line:match("^([^\t]*)\t(.*)$")
    local headers = {["Content-Type"] = "application/json"}
    requests[#requests + 1] = wrk.format("POST", path, headers, body or line)
  end
end

request = function()
  turn = turn % #requests + 1
  return requests[turn]
end

done = function(summary, latency, _)
  local wrong = summary.errors
  io.write(string.format(
    '{"operations": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "wrong": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
