namespace Phi3VCluster.Silo;

/// <summary>Asks the silo of this machine how it is, for images that have no curl.</summary>
internal static class Probe
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <param name="httpPort">On this machine.</param>
    /// <param name="hasTls">It speaks HTTPS. Its certificate has other names than this: it is not looked at, and nothing is told.</param>
    /// <param name="output">For the silo's answer.</param>
    /// <returns>0 if the silo is ready, else 1.</returns>
    public static async Task<int> RunAsync(int httpPort, bool hasTls, TextWriter output)
    {
        using var handler = new SocketsHttpHandler();
        if (hasTls) handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        using var http = new HttpClient(handler) { Timeout = Patience };
        try
        {
            using var answer = await http.GetAsync($"http{(hasTls ? "s" : "")}://127.0.0.1:{httpPort}{Health.Ready}");
            await output.WriteAsync(await answer.Content.ReadAsStringAsync());
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            await output.WriteLineAsync($"no silo answers at port {httpPort}: {e.Message}");
            return 1;
        }
    }
}
