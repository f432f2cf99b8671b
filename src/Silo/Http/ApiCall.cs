using System.Globalization;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo.Http;

/// <summary>A call that cannot be answered, and why.</summary>
internal sealed class ApiException(int status, string message) : Exception(message)
{
    public int Status => status;

    public static ApiException NotFound(string message) => new(StatusCodes.Status404NotFound, message);

    public static ApiException Bad(string message) => new(StatusCodes.Status400BadRequest, message);
}

/// <summary>A call of the API: what it asks, and what answers need.</summary>
internal sealed class ApiCall(HttpContext http, SiloSettings settings)
{
    private const int LongestId = 200;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public string Node => settings.Node;

    public HttpRole Role => HttpGuard.RoleOf(http);

    public CancellationToken Gone => http.RequestAborted;

    public IClusterGrain Cluster => Grains.GetCluster();

    /// <summary>The run that the path names.</summary>
    public IRunGrain Run => Grains.GetRun(Id("run"));

    private IGrainFactory Grains => http.RequestServices.GetRequiredService<IGrainFactory>();

    /// <summary>The run's status, by its coordinator.</summary>
    public Task<RunStatus> StatusAsync() => AnswerAsync(Run.StatusAsync());

    public async Task<T> AnswerAsync<T>(Task<T> grain) => await grain.WaitAsync(Patience, Gone);

    /// <summary>A part of the path that names something.</summary>
    public string Id(string name)
    {
        var id = (string)http.Request.RouteValues[name]!;
        return id.Length <= LongestId && !id.Any(char.IsControl) ? id
            : throw ApiException.NotFound($"{name}: there is none of such a name, got {Shown.Value(id)}; see /api/v1/{name}s.");
    }

    /// <summary>A number in the path, from 0.</summary>
    public int Index(string name)
    {
        var given = (string)http.Request.RouteValues[name]!;
        return int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out var index)
            ? index
            : throw ApiException.NotFound($"{name}: must be a number from 0, got {Shown.Value(given)}.");
    }

    public long Number(ApiParameter parameter)
    {
        if (http.Request.Query[parameter.Name] is not { Count: > 0 } given) return parameter.Usual;
        return given.Count == 1 && long.TryParse(given[0], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number >= parameter.Least && number <= parameter.Most
            ? number
            : throw ApiException.Bad($"{parameter.Name}: must be a whole number from {parameter.Least} to {parameter.Most}, "
                + $"got {Shown.Value(given.ToString())}; leave it out for {parameter.Usual}.");
    }
}
