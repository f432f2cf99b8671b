using System.Text.Json;

namespace Phi3VCluster.Monitoring.Tests.Dashboards;

/// <summary>A dashboard's file, as far as these tests look at it.</summary>
internal sealed class Dashboard
{
    private readonly JsonElement _root;

    private Dashboard(string file, JsonElement root) => (File, _root) = (file, root);

    public string File { get; }

    public string Uid => _root.GetProperty("uid").GetString()!;

    public string Text => _root.GetRawText();

    public IReadOnlyList<JsonElement> Links => [.. _root.GetProperty("links").EnumerateArray()];

    /// <summary>Without the headings of rows.</summary>
    public IReadOnlyList<Panel> Panels => [.. Everything.Where(panel => panel.Type != "row")];

    public IReadOnlyList<Panel> Everything => [.. _root.GetProperty("panels").EnumerateArray().Select(panel => new Panel(panel))];

    /// <summary>All that it asks Prometheus.</summary>
    public IReadOnlyList<Query> Queries =>
    [
        .. Panels.SelectMany(panel => panel.Queries),
        .. _root.GetProperty("annotations").GetProperty("list").EnumerateArray().Select(note =>
            new Query($"annotation {note.GetProperty("name")}", note.GetProperty("target").GetProperty("expr").GetString()!, false)),
    ];

    public static IReadOnlyList<Dashboard> All() =>
    [
        .. Directory.GetFiles(Checkout.At("deploy/grafana/dashboards"), "*.json").Order(StringComparer.Ordinal)
            .Select(file => new Dashboard(Path.GetFileName(file), JsonDocument.Parse(System.IO.File.ReadAllText(file)).RootElement)),
    ];
}

/// <param name="Where">Panel and letter.</param>
/// <param name="IsInstant">Asked for now, not for the time that is shown.</param>
internal sealed record Query(string Where, string Expression, bool IsInstant);

internal sealed class Panel(JsonElement json)
{
    public int Id => json.GetProperty("id").GetInt32();

    public string Type => json.GetProperty("type").GetString()!;

    public string Title => json.GetProperty("title").GetString()!;

    public string Description => json.GetProperty("description").GetString()!;

    public string Unit => json.GetProperty("fieldConfig").GetProperty("defaults").GetProperty("unit").GetString()!;

    public (int X, int Y, int Width, int Height) Place
    {
        get
        {
            var place = json.GetProperty("gridPos");
            return (place.GetProperty("x").GetInt32(), place.GetProperty("y").GetInt32(),
                place.GetProperty("w").GetInt32(), place.GetProperty("h").GetInt32());
        }
    }

    public IReadOnlyList<string> Sources =>
    [
        json.GetProperty("datasource").GetProperty("uid").GetString()!,
        .. Targets.Select(target => target.GetProperty("datasource").GetProperty("uid").GetString()!),
    ];

    /// <summary>As they stand; one of several lines needs a name for each.</summary>
    public IReadOnlyList<string> Legends => [.. Targets.Select(target => target.GetProperty("legendFormat").GetString()!)];

    public IReadOnlyList<Query> Queries =>
    [
        .. Targets.Select(target => new Query(
            $"{Title}, {target.GetProperty("refId")}", target.GetProperty("expr").GetString()!,
            target.TryGetProperty("instant", out var instant) && instant.GetBoolean())),
    ];

    private IReadOnlyList<JsonElement> Targets => [.. json.GetProperty("targets").EnumerateArray()];
}
