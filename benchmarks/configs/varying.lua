-- A path and a header that differ with every request, so that nothing can be remembered.
-- Arguments: the number of routes to spread the requests over.
local count, routes = 0, 1000

function init(arguments)
    routes = tonumber(arguments[1]) or routes
    math.randomseed(os.time())
end

function request()
    count = count + 1
    local path = "/svc/s" .. math.random(0, routes - 1) .. "/orders/" .. count
    wrk.headers["X-Client-Nonce"] = "n" .. count
    return wrk.format("GET", path)
end
