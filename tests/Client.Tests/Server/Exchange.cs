using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Phi3VCluster.Client.Tests.Server;

/// <param name="Target">Path and query, as they came.</param>
public sealed record Request(string Target, IReadOnlyDictionary<string, string> Headers)
{
    public string? Header(string name) => Headers.GetValueOrDefault(name);

    /// <summary>The first byte asked for.</summary>
    public int From => Header("Range") is { } range ? int.Parse(range["bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture) : 0;
}

/// <summary>One request and whatever is answered to it, byte by byte: HTTP is not held to.</summary>
public sealed class Exchange(Request request, Socket socket)
{
    public Request Request => request;

    public Task AnswerAsync(int status, byte[] body, params IEnumerable<(string Name, string Value)> headers) =>
        SendAsync(status, body.Length, headers, body);

    /// <param name="length">What the head says; null: that the body ends with the connection.</param>
    public async Task SendAsync(int status, long? length, IEnumerable<(string Name, string Value)> headers, ReadOnlyMemory<byte> body)
    {
        var head = new StringBuilder($"HTTP/1.1 {status} Word\r\nConnection: close\r\n");
        if (length is not null) head.Append(CultureInfo.InvariantCulture, $"Content-Length: {length}\r\n");
        foreach (var (name, value) in headers) head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        await socket.SendAsync(Encoding.UTF8.GetBytes(head.Append("\r\n").ToString()));
        if (!body.IsEmpty) await socket.SendAsync(body);
    }

    /// <summary>More of a body that <see cref="SendAsync"/> began.</summary>
    public async Task ContinueAsync(ReadOnlyMemory<byte> body) => await socket.SendAsync(body);

    /// <summary>The connection breaks instead of being closed.</summary>
    public void Reset() => socket.Close(0);
}
