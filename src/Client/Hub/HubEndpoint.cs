using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Hub;

/// <summary>Where the hub is, and the token that this address alone may see.</summary>
/// <param name="address">Its root, without a slash at the end.</param>
internal sealed class HubEndpoint(Uri address, string? token)
{
    public const string AddressVariable = "HF_ENDPOINT", TokenVariable = "HF_TOKEN";

    private const string Public = "https://huggingface.co";

    private readonly string _root = address.AbsoluteUri.TrimEnd('/');

    public string? Token => token;

    /// <summary>
    /// From <c>HF_ENDPOINT</c> and <c>HF_TOKEN</c>; without the latter, the token that <c>hf auth login</c> left on this machine.
    /// </summary>
    /// <exception cref="InputException">One of them cannot be meant.</exception>
    public static HubEndpoint FromEnvironment()
    {
        var address = Variable(AddressVariable) ?? Public;
        var token = Variable(TokenVariable) ?? StoredToken();
        List<string> problems = [];
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || !IsWeb(uri))
            problems.Add($"{AddressVariable}: must be an http or https address, got {address}; write for example {Public}.");
        if (token?.All(c => c is > ' ' and <= '~') == false)
            problems.Add($"{TokenVariable}: must be one word of plain letters, got something else; copy the token again."); // never shown
        return problems.Count == 0 ? new(uri!, token) : throw new InputException(problems);
    }

    public static bool IsWeb(Uri uri) => uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps;

    /// <param name="path">Escaped, from the root, with its slash.</param>
    public Uri At(string path) => new(_root + path);

    /// <summary>Whether it is this very server: another scheme or port is another one.</summary>
    public bool IsOwn(Uri uri) => uri.Scheme == address.Scheme && uri.IdnHost == address.IdnHost && uri.Port == address.Port;

    private static string? Variable(string name) =>
        Environment.GetEnvironmentVariable(name)?.Trim() is { Length: > 0 } value ? value : null;

    private static string? StoredToken()
    {
        var home = Variable("HF_HOME")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "huggingface");
        var file = Path.Combine(home, "token");
        return File.Exists(file) && File.ReadAllText(file).Trim() is { Length: > 0 } token ? token : null;
    }
}
