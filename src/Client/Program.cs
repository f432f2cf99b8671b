using Phi3VCluster.Client.App;

return await Phi3VApp.RunAsync(args);
