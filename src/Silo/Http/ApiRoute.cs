using System.ComponentModel;

namespace Phi3VCluster.Silo.Http;

/// <summary>A call that the API knows: what answers it, and all that its documentation says.</summary>
/// <param name="Path">Below <see cref="Api.Root"/>.</param>
/// <param name="Does">A sentence.</param>
/// <param name="Reply">Of each item where the reply is a list; <see cref="Image"/> where it is no JSON.</param>
internal sealed record ApiRoute(string Method, string Path, string Does, Type Reply, Func<ApiCall, Task<object>> Answer)
{
    public bool IsList { get; init; }

    public IReadOnlyList<ApiParameter> Parameters { get; init; } = [];
}

/// <summary>A number in the query.</summary>
/// <param name="Usual">Where it is left out.</param>
internal sealed record ApiParameter(string Name, long Usual, long Least, long Most, string Meaning);

/// <summary>What every refusal and failure says.</summary>
internal sealed record ApiError(
    [property: Description("What was wrong, and what to do.")] string Error);

/// <summary>An image file, for a browser to show.</summary>
internal sealed record Image(byte[] Bytes, string ContentType);
