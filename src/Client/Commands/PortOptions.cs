using System.CommandLine;
using Phi3VCluster.Client.Silo;

namespace Phi3VCluster.Client.Commands;

/// <summary>The three ports of a silo. Of several silos each takes the next of each kind.</summary>
internal sealed class PortOptions
{
    private readonly Option<int> _gateway = Port("--gateway-port", 30000, "What the CLI connects to.");
    private readonly Option<int> _silo = Port("--silo-port", 11111, "What other silos connect to.");
    private readonly Option<int> _http = Port("--http-port", 8080, "Metrics and health.");

    public IReadOnlyList<Option<int>> All => [_gateway, _silo, _http];

    public (int Gateway, int Silo, int Http) Of(ParseResult parsed) =>
        (parsed.GetValue(_gateway), parsed.GetValue(_silo), parsed.GetValue(_http));

    /// <summary>Ports that cannot be had: of each option the first, for the others of as many silos go with it.</summary>
    public IEnumerable<string> Problems(ParseResult parsed, int silos)
    {
        var ports = All
            .SelectMany(option => Enumerable.Range(0, silos).Select(i => (option.Name, Port: parsed.GetValue(option) + i))).ToArray();
        return ports.Select(one => (one.Name, Problem: Problem(one.Name, one.Port))).Where(one => one.Problem is not null)
            .DistinctBy(one => one.Name).Select(one => one.Problem!);

        string? Problem(string name, int port) =>
            port is < 1 or > ushort.MaxValue ? $"{name}: must be 1 to {ushort.MaxValue}, got {port}; choose another."
            : ports.First(p => p.Port == port).Name is var first && first != name
                ? $"{name}: is {first}'s port too, got {port}; choose another."
            : FreePorts.IsFree(port) ? null
            : $"{name}: the port is in use, got {port}; choose another with {name}.";
    }

    private static Option<int> Port(string name, int value, string what) =>
        new(name) { Description = what, HelpName = "PORT", DefaultValueFactory = _ => value };
}
